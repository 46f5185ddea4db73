// Package portolanclient makes the clientset of the controllers. It reads and writes
// Services, Endpoints and EndpointSlices in Portolan, and everything else in a cluster.
//
// Portolan's kinds have the fields and the wire format of upstream's kinds. The client
// therefore reads and writes portolan.dev/v1 with upstream's Go types, and informers,
// listers and k8s.io/endpointslice work without adapters. Only the API version of an
// owner differs on the wire, see [groupSerializer].
package portolanclient

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// New makes a clientset of a cluster and of the Portolan server that the configuration
// names. The two can be different servers.
func New(cluster kubernetes.Interface, portolan *rest.Config) (kubernetes.Interface, error) {
	client, err := NewREST(portolan)
	if err != nil {
		return nil, err
	}
	return clientset{
		Interface: cluster,
		core:      core{cluster.CoreV1(), corev1client.New(client)},
		discovery: discovery{cluster.DiscoveryV1(), discoveryv1client.New(client)},
	}, nil
}

// NewREST makes a client of portolan.dev/v1 that reads and writes upstream's Go types.
func NewREST(portolan *rest.Config) (rest.Interface, error) {
	config := rest.CopyConfig(portolan)
	// The typed clients encode query parameters for this group version. Their scheme
	// has only upstream's, and the parameters name no group.
	config.GroupVersion = &corev1.SchemeGroupVersion
	config.APIPath = "/apis/" + v1.GroupName
	config.NegotiatedSerializer = newSerializer()
	// Every response about Endpoints carries a deprecation warning.
	config.WarningHandlerWithContext = rest.NoWarnings{}
	if config.UserAgent == "" {
		config.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client of Portolan: %w", err)
	}
	return client, nil
}

type clientset struct {
	kubernetes.Interface
	core      core
	discovery discovery
}

func (c clientset) CoreV1() corev1client.CoreV1Interface { return c.core }

func (c clientset) DiscoveryV1() discoveryv1client.DiscoveryV1Interface { return c.discovery }

type core struct {
	corev1client.CoreV1Interface
	portolan corev1client.CoreV1Interface
}

func (c core) Services(namespace string) corev1client.ServiceInterface {
	return c.portolan.Services(namespace)
}

func (c core) Endpoints(namespace string) corev1client.EndpointsInterface {
	return c.portolan.Endpoints(namespace)
}

type discovery struct {
	discoveryv1client.DiscoveryV1Interface
	portolan discoveryv1client.DiscoveryV1Interface
}

func (d discovery) EndpointSlices(namespace string) discoveryv1client.EndpointSliceInterface {
	return d.portolan.EndpointSlices(namespace)
}
