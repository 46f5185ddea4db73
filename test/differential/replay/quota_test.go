//go:build e2e

package replay

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
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
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	bin, err := filepath.Abs(filepath.Join(root, ".bin"))
	if err != nil {
		t.Fatal(err)
	}
	kube, err := upstream.StartKube(ctx, upstream.Programs{
		KubeAPIServer: filepath.Join(bin, "kube-apiserver"), Etcd: filepath.Join(bin, "etcd"),
	}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kube.Stop)
	client, err := kubernetes.NewForConfig(kube.Config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return kube, client
}

// quota is a ResourceQuota of the cluster. No quota controller runs, so the
// test sets its status.
type quota struct {
	t      *testing.T
	client *kubernetes.Clientset
}

// set says what the controller would: what the limits are, and what is used.
func (q quota) set(hard, used corev1.ResourceList) {
	q.t.Helper()
	quotas := q.client.CoreV1().ResourceQuotas(quotaNamespace)
	current, err := quotas.Get(q.t.Context(), quotaName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		current, err = quotas.Create(q.t.Context(), &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: quotaName}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		q.t.Fatal(err)
	}
	current.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: used}
	if _, err := quotas.UpdateStatus(q.t.Context(), current, metav1.UpdateOptions{}); err != nil {
		q.t.Fatal(err)
	}
}

// expect wants a resource to be used so many times.
func (q quota) expect(what string, name corev1.ResourceName, want int64) {
	q.t.Helper()
	current, err := q.client.CoreV1().ResourceQuotas(quotaNamespace).Get(q.t.Context(), quotaName, metav1.GetOptions{})
	if err != nil {
		q.t.Fatal(err)
	}
	if used := current.Status.Used[name]; used.Value() != want {
		q.t.Errorf("%s: %s of %s are used, want %d", what, &used, name, want)
	}
}

func resources(pairs map[corev1.ResourceName]string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, quantity := range pairs {
		list[name] = resource.MustParse(quantity)
	}
	return list
}

// TestResourceQuota follows the ResourceQuota of a real cluster.
func TestResourceQuota(t *testing.T) {
	kube, client := startCluster(t, quotaNamespace)
	hard := resources(map[corev1.ResourceName]string{countServices: "3", countEndpoints: "1", "services": "0", "services.nodeports": "0"})
	q := quota{t, client}
	q.set(hard, resources(map[corev1.ResourceName]string{countServices: "0", countEndpoints: "0", "services": "0", "services.nodeports": "0"}))

	portolan := framework.Start(t, func(o *options.Options) {
		o.CoreAPI.CoreAPIKubeconfigPath = kube.Kubeconfig
		o.NodePortRanges = []string{"30080-30089"}
	})
	ctx := t.Context()
	services := portolan.Client.PortolanV1().Services(quotaNamespace)
	newService := func(name string, nodePort int32) *v1.Service {
		return &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80, NodePort: nodePort}},
		}}
	}
	create := func(svc *v1.Service, dryRun ...string) error {
		_, err := services.Create(ctx, svc, metav1.CreateOptions{DryRun: dryRun})
		return err
	}
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}

	must("create", create(newService("a", 30080)))
	q.expect("create", countServices, 1)
	apply := `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"applied"},"spec":{"type":"NodePort","ports":[{"port":%d}]}}`
	for i, port := range []int{80, 81} {
		_, err := services.Patch(ctx, "applied", types.ApplyYAMLPatchType, fmt.Appendf(nil, apply, port),
			metav1.PatchOptions{FieldManager: "test"})
		must(fmt.Sprintf("apply %d", i), err)
		q.expect("apply", countServices, 2)
	}
	_, err := services.Patch(ctx, "a", types.MergePatchType, []byte(`{"status":{"loadBalancer":{}},"metadata":{"labels":{"a":"b"}}}`),
		metav1.PatchOptions{}, "status")
	must("patch of the status", err)
	must("dry run", create(newService("b", 0), metav1.DryRunAll))
	bad := newService("b", 0)
	bad.Spec.Ports[0].Port = 0
	elsewhere := newService("b", 0)
	elsewhere.Spec.ClusterIP = "192.0.2.1"
	tooMany := newService("b", 0)
	for i := range int32(10) {
		tooMany.Spec.Ports = append(tooMany.Spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("p%d", i), Port: 1000 + i})
	}
	tooMany.Spec.Ports[0].Name = "p"
	denied := newService("b", 0)
	denied.Spec.ExternalIPs = []string{"192.0.2.1"}
	for what, test := range map[string]struct {
		svc *v1.Service
		is  func(error) bool
	}{
		"a port that is no port":         {bad, apierrors.IsInvalid},
		"a node port that is taken":      {newService("b", 30080), apierrors.IsInvalid},
		"a node port out of the range":   {newService("b", 29999), apierrors.IsInvalid},
		"an address out of the range":    {elsewhere, apierrors.IsInvalid},
		"more ports than there are":      {tooMany, apierrors.IsInvalid},
		"an external IP":                 {denied, apierrors.IsForbidden},
		"a name and a port that are had": {newService("a", 30080), apierrors.IsAlreadyExists},
	} {
		if err := create(test.svc); !test.is(err) {
			t.Errorf("%s: got %v", what, err)
		}
		q.expect(what, countServices, 2)
	}

	must("create of the last", create(newService("last", 0)))
	exceeded := `services.portolan.dev "more" is forbidden: exceeded quota: team-quota, requested: count/services.portolan.dev=1, used: count/services.portolan.dev=3, limited: count/services.portolan.dev=3`
	for what, options := range map[string][]string{"over quota": nil, "over quota, dry run": {metav1.DryRunAll}} {
		if err := create(newService("more", 0), options...); !apierrors.IsForbidden(err) || err.Error() != exceeded {
			t.Errorf("%s: got %v, want %s", what, err, exceeded)
		}
	}
	endpoints := portolan.Client.PortolanV1().Endpoints(quotaNamespace)
	_, err = endpoints.Create(ctx, &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "last"}}, metav1.CreateOptions{})
	must("create of endpoints", err)
	if _, err := endpoints.Create(ctx, &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "more"}},
		metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("endpoints over quota: got %v", err)
	}
	q.expect("endpoints", countEndpoints, 1)
	// The names of the cluster's own Services are left alone.
	q.expect("services of the core", "services", 0)
	q.expect("node ports of the core", "services.nodeports", 0)

	// The controller counts again.
	must("delete", services.Delete(ctx, "last", metav1.DeleteOptions{}))
	q.set(hard, resources(map[corev1.ResourceName]string{countServices: "2", countEndpoints: "1", "services": "0", "services.nodeports": "0"}))
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		err := create(newService("more", 0))
		if apierrors.IsForbidden(err) {
			return false, nil
		}
		return err == nil, err
	})
	must("create of what was replenished", err)
	q.expect("replenished", countServices, 3)
}
