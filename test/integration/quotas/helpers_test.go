package quotas

import (
	"context"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	clientv1 "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const namespace = "default"

func TestMain(m *testing.M) { framework.Main(m) }

// dualStack gives a server ranges of both families.
func dualStack(o *options.Options) {
	o.ClusterIPRanges, o.NodePortRanges = []string{"10.96.0.0/16", "fd00:96::/112"}, []string{"30000-32767"}
}

func servicesOf(server *framework.Server) clientv1.ServiceInterface {
	return server.Client.PortolanV1().Services(namespace)
}

func quotasOf(server *framework.Server) clientv1.ClaimQuotaInterface {
	return server.Client.PortolanV1().ClaimQuotas(namespace)
}

func newQuota(t *testing.T, server *framework.Server, name string, hard map[string]int64) *v1.ClaimQuota {
	t.Helper()
	quota := &v1.ClaimQuota{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.ClaimQuotaSpec{Hard: hard}}
	created, err := quotasOf(server).Create(t.Context(), quota, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// setQuota changes the limits of a ClaimQuota.
func setQuota(t *testing.T, server *framework.Server, name string, hard map[string]int64) {
	t.Helper()
	quota, err := quotasOf(server).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	quota.Spec.Hard = hard
	if _, err := quotasOf(server).Update(t.Context(), quota, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// expectUsed wants a ClaimQuota to show a usage on each of the servers.
func expectUsed(t *testing.T, name string, want map[string]int64, servers ...*framework.Server) {
	t.Helper()
	for i, server := range servers {
		quota, err := quotasOf(server).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || fmt.Sprint(quota.Status.Used) != fmt.Sprint(want) {
			t.Errorf("server %d shows %v, %v, want %v", i, quota.Status.Used, err, want)
		}
	}
}

// service is a Service of a type with a number of ports.
func service(name string, kind corev1.ServiceType, ports int) *v1.Service {
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Type: kind}}
	for i := range ports {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: fmt.Sprint("p", i), Port: int32(80 + i)})
	}
	return svc
}

func create(t *testing.T, server *framework.Server, svc *v1.Service) *v1.Service {
	t.Helper()
	created, err := servicesOf(server).Create(t.Context(), svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func createPool(t *testing.T, server *framework.Server, name, cidr string) {
	t.Helper()
	pool := &v1.LoadBalancerPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.LoadBalancerPoolSpec{CIDRs: []string{cidr}}}
	if _, err := server.Client.PortolanV1().LoadBalancerPools().Create(t.Context(), pool, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// createWaiting creates a Service that waits for a load-balancer address of a full pool. Then
// an address comes free, and a ClaimQuota does not let the Service have it.
func createWaiting(t *testing.T, server *framework.Server, name string) {
	t.Helper()
	framework.CreateNamespace(t, server.Config, "other")
	createPool(t, server, "public", "192.0.2.8/32")
	others := server.Client.PortolanV1().Services("other")
	if _, err := others.Create(t.Context(), service("holder", corev1.ServiceTypeLoadBalancer, 1), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	create(t, server, service(name, corev1.ServiceTypeLoadBalancer, 1))
	newQuota(t, server, "team", map[string]int64{"loadbalancerips": 0})
	if err := others.Delete(t.Context(), "holder", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitCondition waits until a Service has one condition, with a reason and a part of its
// message.
func awaitCondition(t *testing.T, server *framework.Server, name, reason, message string) {
	t.Helper()
	framework.Eventually(t, reason, func(ctx context.Context) (bool, error) {
		svc, err := servicesOf(server).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		conditions := svc.Status.Conditions
		return len(conditions) == 1 && conditions[0].Reason == reason && strings.Contains(conditions[0].Message, message),
			fmt.Errorf("the status is %+v", svc.Status)
	})
}

func deleteService(t *testing.T, server *framework.Server, name string) {
	t.Helper()
	if err := servicesOf(server).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// expectExceeded wants a 403 with a text.
func expectExceeded(t *testing.T, err error, want string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.HasSuffix(err.Error(), "is forbidden: exceeded quota: "+want) {
		t.Errorf("got %v, want an exceeded quota: %s", err, want)
	}
}

// one wants a request to write once.
func one(t *testing.T, client *clientv3.Client, what string, request func()) {
	t.Helper()
	writes(t, client, what, 1, request)
}

// writes wants a request to make a number of writes.
func writes(t *testing.T, client *clientv3.Client, what string, want int64, request func()) {
	t.Helper()
	before := revisionOf(t, client)
	request()
	if made := revisionOf(t, client) - before; made != want {
		t.Errorf("%s: %d writes, want %d", what, made, want)
	}
}

func revisionOf(t *testing.T, client *clientv3.Client) int64 {
	t.Helper()
	response, err := client.Get(t.Context(), "/", clientv3.WithLimit(1))
	if err != nil {
		t.Fatal(err)
	}
	return response.Header.Revision
}

// expectPermits wants the store to have a number of keys of permits, two for each value.
func expectPermits(t *testing.T, client *clientv3.Client, want int) {
	t.Helper()
	if got := len(framework.Read(t, client).Permits); got != want {
		t.Errorf("there are %d keys of permits, want %d", got, want)
	}
}
