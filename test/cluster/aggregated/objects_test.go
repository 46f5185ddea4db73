//go:build e2e

package aggregated

import (
	"context"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/test/framework"
)

// newNamespace makes a namespace for a test.
func (g *fixture) newNamespace(t *testing.T, prefix string) string {
	t.Helper()
	made, err := g.client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Name
}

func newService(name string, change ...func(*v1.Service)) *v1.Service {
	svc := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	for _, c := range change {
		c(svc)
	}
	return svc
}

// nodePort makes a Service one of type NodePort; 0 leaves the port to be picked.
func nodePort(port int32) func(*v1.Service) {
	return func(svc *v1.Service) {
		svc.Spec.Type, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, port
	}
}

// createService makes a Service through the cluster's address. For a moment after a restart,
// kube-apiserver still believes that Portolan is away, and answers 503.
func (g *fixture) createService(t *testing.T, namespace string, svc *v1.Service) *v1.Service {
	t.Helper()
	var made *v1.Service
	framework.Eventually(t, "Service "+svc.Name+" is created", func(ctx context.Context) (bool, error) {
		var err error
		made, err = g.portolan.PortolanV1().Services(namespace).Create(ctx, svc, metav1.CreateOptions{})
		if err != nil && !apierrors.IsServiceUnavailable(err) {
			t.Fatal(err)
		}
		return err == nil, err
	})
	return made
}

// createConfigMap makes an object of the cluster's own.
func (g *fixture) createConfigMap(t *testing.T, namespace string, meta metav1.ObjectMeta) *corev1.ConfigMap {
	t.Helper()
	made, err := g.client.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: meta}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// ownedByService is the reference that controllers put on what they make for a
// Service.
func ownedByService(svc *v1.Service) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{
		APIVersion: v1.SchemeGroupVersion.String(), Kind: "Service", Name: svc.Name, UID: svc.UID, BlockOwnerDeletion: &yes,
	}}
}

// checkClaims wants the claims of a Service to be there, or all gone.
func (g *fixture) checkClaims(t *testing.T, svc *v1.Service, held bool) {
	t.Helper()
	for _, ip := range svc.Spec.ClusterIPs {
		if ip == corev1.ClusterIPNone {
			continue
		}
		_, err := g.portolan.PortolanV1().IPAddresses().Get(t.Context(), ip, metav1.GetOptions{})
		checkHeld(t, ip, err, held)
	}
	for _, port := range svc.Spec.Ports {
		if port.NodePort != 0 {
			name := strconv.Itoa(int(port.NodePort))
			_, err := g.portolan.PortolanV1().NodePorts().Get(t.Context(), name, metav1.GetOptions{})
			checkHeld(t, name, err, held)
		}
	}
}

func checkHeld(t *testing.T, claim string, err error, held bool) {
	t.Helper()
	if held && err != nil || !held && !apierrors.IsNotFound(err) {
		t.Errorf("is %s held? want %t, got %v", claim, held, err)
	}
}

// configAt returns the config of a user for requests to a replica instead of the cluster.
func (g *fixture) configAt(t *testing.T, address, kubeconfig string) *rest.Config {
	t.Helper()
	config := rest.CopyConfig(g.configOf(t, kubeconfig))
	config.Host = "https://" + address + ":6443"
	// What the replica's certificate is good for is the APIService's matter.
	config.TLSClientConfig.CAFile, config.TLSClientConfig.CAData, config.TLSClientConfig.Insecure = "", nil, true
	return config
}

// direct is a client of one of the replicas.
func (g *fixture) direct(t *testing.T, kubeconfig string) versioned.Interface {
	t.Helper()
	for _, r := range g.kubelet.running() {
		client, err := versioned.NewForConfig(g.configAt(t, r.address, kubeconfig))
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	t.Fatal("no replica runs")
	return nil
}
