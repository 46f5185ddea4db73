// Package advertise keeps the Service kubernetes of the namespace default, by
// which Pods find the API server, and its Endpoints and EndpointSlice, as a
// kube-apiserver does (pkg/controlplane/controller/kubernetesservice).
//
// The endpoints are the servers that run. Each keeps a key in etcd with its
// address, which etcd removes when the server has been silent for a while, and
// each writes all of them. They are taken to listen on one port, as upstream
// takes them. A server that nobody else could reach, since it
// listens on loopback alone, tells no address. What was told last stays when
// there is none left, as upstream's does.
package advertise

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const (
	// name is the Service's, its Endpoints' and its EndpointSlice's.
	name = "kubernetes"
	// servicePort is what Pods are told, whatever the server listens on.
	servicePort     = 443
	servicePortName = "https"

	// period is how often all is looked at again, and silence for how long a
	// server may be silent, in seconds; both are upstream's.
	period      = 10 * time.Second
	retryPeriod = time.Second
	silence     = 15
	// stopTimeout bounds what a server does when it stops.
	stopTimeout = 5 * time.Second
)

// Config says what is kept.
type Config struct {
	// Client is one of the server's own, at the second door.
	Client kubernetes.Interface
	Etcd   *clientv3.Client
	// Prefix is that of the server's --etcd-prefix.
	Prefix string
	// Address is where others reach the server; it is not valid if they don't.
	Address netip.Addr
	Port    int
}

// Run keeps the Service until the context ends. Then it takes back the server's
// own address.
func Run(ctx context.Context, c Config) {
	var told *concurrency.Session
	var reason string
	for ctx.Err() == nil {
		var err error
		if told, err = c.tell(ctx, told); err == nil {
			err = c.reconcile(ctx)
		}
		again, was := time.After(period), reason
		reason = ""
		if err != nil {
			// At the start the range may not be there yet, or another replica quicker.
			again, reason = time.After(retryPeriod), err.Error()
		}
		if reason != "" && reason != was {
			klog.FromContext(ctx).Info("The Service of the server can't be kept yet", "service", name, "reason", reason)
		}
		select {
		case <-ctx.Done():
		case <-again:
		}
	}
	if told == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := errors.Join(told.Close(), c.reconcile(ctx)); err != nil {
		klog.FromContext(ctx).Error(err, "The server stops and is told of until its lease is over")
	}
}

// keys is what the servers' keys begin with.
func (c Config) keys() string { return path.Join("/", c.Prefix, v1.GroupName, "servers") + "/" }

// tell keeps the server's key. The session keeps its lease; where that is lost, a
// new one is begun.
func (c Config) tell(ctx context.Context, session *concurrency.Session) (*concurrency.Session, error) {
	if !c.Address.IsValid() {
		return nil, nil
	}
	if session != nil {
		select {
		case <-session.Done():
		default:
			return session, nil
		}
	}
	lease, err := c.Etcd.Grant(ctx, silence)
	if err != nil {
		return nil, fmt.Errorf("lease of the server's address: %w", err)
	}
	// A session's context ends its lease's renewal. It is to be given back after
	// the server's own has ended.
	session, err = concurrency.NewSession(c.Etcd, concurrency.WithTTL(silence), concurrency.WithLease(lease.ID), concurrency.WithContext(context.WithoutCancel(ctx)))
	if err != nil || session == nil {
		return nil, fmt.Errorf("renewal of the lease of the server's address: %w", err)
	}
	if _, err = c.Etcd.Put(ctx, c.keys()+c.Address.String(), "", clientv3.WithLease(session.Lease())); err != nil {
		return nil, errors.Join(err, session.Close())
	}
	return session, nil
}

// reconcile makes the objects what they should be.
func (c Config) reconcile(ctx context.Context) error {
	service, err := c.service(ctx)
	if err != nil {
		return fmt.Errorf("the Service: %w", err)
	}
	addresses, err := c.addresses(ctx, service)
	if err != nil || len(addresses) == 0 {
		return err
	}
	return errors.Join(c.writeEndpoints(ctx, addresses), c.writeSlice(ctx, service, addresses))
}

// addresses are those of all servers, of the Service's IP family.
func (c Config) addresses(ctx context.Context, service *corev1.Service) ([]string, error) {
	family, err := netip.ParseAddr(service.Spec.ClusterIP)
	if err != nil {
		return nil, fmt.Errorf("the Service has no cluster IP: %w", err)
	}
	answer, err := c.Etcd.Get(ctx, c.keys(), clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, fmt.Errorf("addresses of servers: %w", err)
	}
	var addresses []string
	for _, kv := range answer.Kvs {
		address, err := netip.ParseAddr(path.Base(string(kv.Key)))
		if err == nil && address.Is4() == family.Is4() {
			addresses = append(addresses, address.String())
		}
	}
	slices.Sort(addresses)
	return addresses, nil
}

// service is the Service, which is made if it isn't there. It has the first
// address of the range that addresses are allocated from by default.
func (c Config) service(ctx context.Context) (*corev1.Service, error) {
	services := c.Client.CoreV1().Services(metav1.NamespaceDefault)
	ports := []corev1.ServicePort{{Name: servicePortName, Protocol: corev1.ProtocolTCP, Port: servicePort, TargetPort: intstr.FromInt(c.Port)}}
	service, err := services.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		address, err := c.clusterIP(ctx)
		if err != nil {
			return nil, err
		}
		return services.Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"}},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeClusterIP, ClusterIP: address, IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicySingleStack), Ports: ports,
			},
		}, metav1.CreateOptions{})
	}
	if err != nil || equality.Semantic.DeepEqual(service.Spec.Ports, ports) {
		return service, err
	}
	service.Spec.Ports = ports
	return services.Update(ctx, service, metav1.UpdateOptions{})
}

func (c Config) clusterIP(ctx context.Context) (string, error) {
	cidr, err := c.Client.NetworkingV1().ServiceCIDRs().Get(ctx, v1.DefaultRangeName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	prefix, err := netip.ParsePrefix(cidr.Spec.CIDRs[0])
	if err != nil {
		return "", err
	}
	return prefix.Addr().Next().String(), nil
}

func (c Config) writeEndpoints(ctx context.Context, addresses []string) error {
	endpoints := c.Client.CoreV1().Endpoints(metav1.NamespaceDefault)
	subset := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Name: servicePortName, Port: int32(c.Port), Protocol: corev1.ProtocolTCP}}}
	for _, address := range addresses {
		subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: address})
	}
	subsets := []corev1.EndpointSubset{subset}
	stored, err := endpoints.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		// A slice is written as well: nothing is to be mirrored.
		labels := map[string]string{discoveryv1.LabelSkipMirror: "true"}
		_, err = endpoints.Create(ctx, &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Subsets: subsets}, metav1.CreateOptions{})
		return err
	}
	if err != nil || equality.Semantic.DeepEqual(stored.Subsets, subsets) {
		return err
	}
	stored.Subsets = subsets
	_, err = endpoints.Update(ctx, stored, metav1.UpdateOptions{})
	return err
}

func (c Config) writeSlice(ctx context.Context, service *corev1.Service, addresses []string) error {
	endpointSlices := c.Client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	wanted := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressType(service.Spec.IPFamilies[0]),
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To(servicePortName), Port: ptr.To(int32(c.Port)), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	for _, address := range addresses {
		wanted.Endpoints = append(wanted.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}})
	}
	stored, err := endpointSlices.Get(ctx, name, metav1.GetOptions{})
	if err == nil && stored.AddressType != wanted.AddressType {
		// The type of a slice can't be changed.
		if err = endpointSlices.Delete(ctx, name, metav1.DeleteOptions{}); err == nil {
			err = apierrors.NewNotFound(discoveryv1.Resource("endpointslices"), name)
		}
	}
	if apierrors.IsNotFound(err) {
		_, err = endpointSlices.Create(ctx, wanted, metav1.CreateOptions{})
		return err
	}
	if err != nil || equality.Semantic.DeepEqual(stored.Endpoints, wanted.Endpoints) && equality.Semantic.DeepEqual(stored.Ports, wanted.Ports) {
		return err
	}
	stored.Endpoints, stored.Ports = wanted.Endpoints, wanted.Ports
	_, err = endpointSlices.Update(ctx, stored, metav1.UpdateOptions{})
	return err
}
