package pools

import (
	"slices"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	clientv1 "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// dualStack gives a server ranges of both families.
func dualStack(o *options.Options) {
	o.ClusterIPRanges, o.NodePortRanges = []string{"10.96.0.0/16", "fd00:96::/112"}, []string{"30000-32767"}
}

func servicesOf(server *framework.Server) clientv1.ServiceInterface {
	return server.Client.PortolanV1().Services("default")
}

// newPool creates a pool, changed by what is given.
func newPool(t *testing.T, server *framework.Server, name string, change func(*v1.LoadBalancerPoolSpec)) *v1.LoadBalancerPool {
	t.Helper()
	pool := &v1.LoadBalancerPool{ObjectMeta: metav1.ObjectMeta{Name: name}}
	change(&pool.Spec)
	created, err := server.Client.PortolanV1().LoadBalancerPools().Create(t.Context(), pool, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func cidrs(cidrs ...string) func(*v1.LoadBalancerPoolSpec) {
	return func(spec *v1.LoadBalancerPoolSpec) { spec.CIDRs = cidrs }
}

// balancer is a Service of type LoadBalancer with TCP port 80, changed by what is given.
func balancer(name string, change ...func(*v1.Service)) *v1.Service {
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}}}
	svc.Spec.Type = corev1.ServiceTypeLoadBalancer
	svc.Spec.Ports = []corev1.ServicePort{{Name: "a", Port: 80}}
	for _, change := range change {
		change(svc)
	}
	return svc
}

func annotated(key, value string) func(*v1.Service) {
	return func(svc *v1.Service) { svc.Annotations[key] = value }
}

func sharing(key string) func(*v1.Service) {
	return annotated(v1.LoadBalancerSharingKeyAnnotation, key)
}

func onPort(port int32) func(*v1.Service) {
	return func(svc *v1.Service) { svc.Spec.Ports[0].Port = port }
}

func withFamilies(policy corev1.IPFamilyPolicy) func(*v1.Service) {
	return func(svc *v1.Service) { svc.Spec.IPFamilyPolicy = &policy }
}

func create(t *testing.T, server *framework.Server, svc *v1.Service) *v1.Service {
	t.Helper()
	created, err := servicesOf(server).Create(t.Context(), svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// addresses returns the load-balancer addresses of a Service.
func addresses(svc *v1.Service) []string {
	var found []string
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		found = append(found, ingress.IP)
	}
	return found
}

// expectAddresses wants a Service to have addresses that are allocated.
func expectAddresses(t *testing.T, svc *v1.Service, want ...string) {
	t.Helper()
	if got := addresses(svc); !slices.Equal(got, want) {
		t.Errorf("%s has the addresses %v, want %v", svc.Name, got, want)
	}
	if len(want) > 0 && !meta.IsStatusConditionTrue(svc.Status.Conditions, v1.ServiceConditionLoadBalancerAddress) {
		t.Errorf("%s has the conditions %v", svc.Name, svc.Status.Conditions)
	}
}

// expectWaiting wants a Service to wait for an address.
func expectWaiting(t *testing.T, svc *v1.Service, message string) {
	t.Helper()
	condition := meta.FindStatusCondition(svc.Status.Conditions, v1.ServiceConditionLoadBalancerAddress)
	if len(svc.Status.LoadBalancer.Ingress) > 0 || condition == nil || condition.Status != metav1.ConditionFalse ||
		condition.Message != message {
		t.Errorf("%s has the addresses %v and the conditions %+v; want it to wait: %s", svc.Name, addresses(svc), svc.Status.Conditions, message)
	}
}

func remove(t *testing.T, server *framework.Server, name string) {
	t.Helper()
	if err := servicesOf(server).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func reserve(t *testing.T, server *framework.Server, claim *v1.LoadBalancerIP) {
	t.Helper()
	if _, err := server.Client.PortolanV1().LoadBalancerIPs().Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func claimOf(t *testing.T, server *framework.Server, address string) *v1.LoadBalancerIP {
	t.Helper()
	claim, err := server.Client.PortolanV1().LoadBalancerIPs().Get(t.Context(), address, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return claim
}

// holdersOf returns the names of the Services that a claim records.
func holdersOf(t *testing.T, server *framework.Server, address string) []string {
	t.Helper()
	var names []string
	for _, holder := range claimOf(t, server, address).Spec.Holders {
		names = append(names, holder.Name)
	}
	return names
}

// revisionOf is the revision of a store, which counts its writes.
func revisionOf(t *testing.T, client *clientv3.Client) int64 {
	t.Helper()
	response, err := client.Get(t.Context(), "revision")
	if err != nil {
		t.Fatal(err)
	}
	return response.Header.Revision
}
