//go:build e2e

package replay

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

const (
	quotaNamespace = "team"
	quotaName      = "team-quota"
	countServices  = corev1.ResourceName("count/services.portolan.dev")
	countEndpoints = corev1.ResourceName("count/endpoints.portolan.dev")
)

// startCluster starts a kube-apiserver with a namespace.
func startCluster(t *testing.T, namespace string) (*upstream.Server, *kubernetes.Clientset) {
	t.Helper()
	kube := framework.StartKube(t)
	framework.CreateNamespace(t, kube.Config, namespace)
	client, err := kubernetes.NewForConfig(kube.Config)
	if err != nil {
		t.Fatal(err)
	}
	return kube, client
}

// quota is a ResourceQuota of the cluster, and the server that enforces it. No
// quota controller runs, so the test sets its status.
type quota struct {
	*testing.T
	cluster  *kubernetes.Clientset
	portolan versioned.Interface
}

// set sets the limits, and as the quota controller would, how many Services and
// Endpoints are used.
func (q *quota) set(services, endpoints string) {
	q.Helper()
	hard := resources(map[corev1.ResourceName]string{countServices: "3", countEndpoints: "1", "services": "0", "services.nodeports": "0"})
	used := resources(map[corev1.ResourceName]string{
		countServices: services, countEndpoints: endpoints, "services": "0", "services.nodeports": "0",
	})
	quotas := q.cluster.CoreV1().ResourceQuotas(quotaNamespace)
	current, err := quotas.Get(q.Context(), quotaName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		current, err = quotas.Create(q.Context(), &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: quotaName}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		q.Fatal(err)
	}
	current.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: used}
	if _, err := quotas.UpdateStatus(q.Context(), current, metav1.UpdateOptions{}); err != nil {
		q.Fatal(err)
	}
}

// expect wants a number of objects of a resource to be charged.
func (q *quota) expect(what string, name corev1.ResourceName, want int64) {
	q.Helper()
	current, err := q.cluster.CoreV1().ResourceQuotas(quotaNamespace).Get(q.Context(), quotaName, metav1.GetOptions{})
	if err != nil {
		q.Fatal(err)
	}
	if used := current.Status.Used[name]; used.Value() != want {
		q.Errorf("%s: %s of %s are used, want %d", what, &used, name, want)
	}
}

func (q *quota) must(what string, err error) {
	q.Helper()
	if err != nil {
		q.Fatalf("%s: %v", what, err)
	}
}

func (q *quota) create(svc *v1.Service, dryRun ...string) error {
	_, err := q.portolan.PortolanV1().Services(quotaNamespace).Create(q.Context(), svc, metav1.CreateOptions{DryRun: dryRun})
	return err
}

// nodePortService returns a Service with a node port; 0 stands for any.
func nodePortService(name string, nodePort int32) *v1.Service {
	return &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80, NodePort: nodePort}},
	}}
}

func resources(pairs map[corev1.ResourceName]string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, quantity := range pairs {
		list[name] = resource.MustParse(quantity)
	}
	return list
}

// TestResourceQuota enforces the ResourceQuota of a real cluster.
func TestResourceQuota(t *testing.T) {
	kube, client := startCluster(t, quotaNamespace)
	q := &quota{T: t, cluster: client}
	q.set("0", "0")
	q.portolan = framework.Start(t, func(o *options.Options) {
		o.CoreAPI.CoreAPIKubeconfigPath = kube.Kubeconfig
		o.NodePortRanges = []string{"30080-30089"}
	}).Client
	q.chargesCreates()
	q.chargesNothingForRejected()
	q.rejectsOverQuota()
	q.followsController()
}

// chargesCreates creates two Services, one of them with server-side apply, and
// writes that create nothing.
func (q *quota) chargesCreates() {
	q.Helper()
	services := q.portolan.PortolanV1().Services(quotaNamespace)
	q.must("create", q.create(nodePortService("a", 30080)))
	q.expect("create", countServices, 1)
	apply := `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"applied"},"spec":{"type":"NodePort","ports":[{"port":%d}]}}`
	for i, port := range []int{80, 81} {
		_, err := services.Patch(q.Context(), "applied", types.ApplyYAMLPatchType, fmt.Appendf(nil, apply, port),
			metav1.PatchOptions{FieldManager: "test"})
		q.must(fmt.Sprintf("apply %d", i), err)
		q.expect("apply", countServices, 2)
	}
	_, err := services.Patch(q.Context(), "a", types.MergePatchType, []byte(`{"status":{"loadBalancer":{}},"metadata":{"labels":{"a":"b"}}}`),
		metav1.PatchOptions{}, "status")
	q.must("patch of the status", err)
	q.must("dry run", q.create(nodePortService("b", 0), metav1.DryRunAll))
}

func (q *quota) chargesNothingForRejected() {
	q.Helper()
	bad := nodePortService("b", 0)
	bad.Spec.Ports[0].Port = 0
	elsewhere := nodePortService("b", 0)
	elsewhere.Spec.ClusterIP = "192.0.2.1"
	tooMany := nodePortService("b", 0)
	for i := range int32(10) {
		tooMany.Spec.Ports = append(tooMany.Spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("p%d", i), Port: 1000 + i})
	}
	tooMany.Spec.Ports[0].Name = "p"
	denied := nodePortService("b", 0)
	denied.Spec.ExternalIPs = []string{"192.0.2.1"}
	for what, test := range map[string]struct {
		svc *v1.Service
		is  func(error) bool
	}{
		"an invalid port":              {bad, apierrors.IsInvalid},
		"a node port that is taken":    {nodePortService("b", 30080), apierrors.IsInvalid},
		"a node port out of the range": {nodePortService("b", 29999), apierrors.IsInvalid},
		"an address out of the range":  {elsewhere, apierrors.IsInvalid},
		"more ports than there are":    {tooMany, apierrors.IsInvalid},
		"an external IP":               {denied, apierrors.IsForbidden},
		"a name and a port that exist": {nodePortService("a", 30080), apierrors.IsAlreadyExists},
	} {
		if err := q.create(test.svc); !test.is(err) {
			q.Errorf("%s: got %v", what, err)
		}
		q.expect(what, countServices, 2)
	}
}

func (q *quota) rejectsOverQuota() {
	q.Helper()
	q.must("create of the last", q.create(nodePortService("last", 0)))
	exceeded := `services.portolan.dev "more" is forbidden: exceeded quota: team-quota, requested: count/services.portolan.dev=1, used: count/services.portolan.dev=3, limited: count/services.portolan.dev=3`
	for what, options := range map[string][]string{"over quota": nil, "over quota, dry run": {metav1.DryRunAll}} {
		if err := q.create(nodePortService("more", 0), options...); !apierrors.IsForbidden(err) || err.Error() != exceeded {
			q.Errorf("%s: got %v, want %s", what, err, exceeded)
		}
	}
	endpoints := q.portolan.PortolanV1().Endpoints(quotaNamespace)
	_, err := endpoints.Create(q.Context(), &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "last"}}, metav1.CreateOptions{})
	q.must("create of endpoints", err)
	if _, err := endpoints.Create(q.Context(), &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "more"}},
		metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		q.Errorf("endpoints over quota: got %v", err)
	}
	q.expect("endpoints", countEndpoints, 1)
	// Portolan's Services do not count as Services of the core API group.
	q.expect("services of the core", "services", 0)
	q.expect("node ports of the core", "services.nodeports", 0)
}

// followsController creates a Service again once the quota controller has
// counted that another was deleted.
func (q *quota) followsController() {
	q.Helper()
	q.must("delete", q.portolan.PortolanV1().Services(quotaNamespace).Delete(q.Context(), "last", metav1.DeleteOptions{}))
	q.set("2", "1")
	framework.Eventually(q, "create of what was replenished", func(context.Context) (bool, error) {
		err := q.create(nodePortService("more", 0))
		if err != nil && !apierrors.IsForbidden(err) {
			q.Fatalf("create of what was replenished: %v", err)
		}
		return err == nil, err
	})
	q.expect("replenished", countServices, 3)
}
