package pools

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestRenumberPool moves Services between pools. Those that share an address share one again.
func TestRenumberPool(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, dualStack)
	server := replicas[0]
	newPool(t, server, "old", cidrs("192.0.2.0/29"))
	create(t, server, balancer("fixed", annotated(v1.LoadBalancerIPsAnnotation, "192.0.2.7")))
	create(t, server, balancer("web", sharing("k")))
	create(t, server, balancer("tls", sharing("k"), onPort(443)))
	create(t, server, balancer("own"))
	newPool(t, server, "new", cidrs("198.51.100.8/31"))
	move := func(name, from, to string) error {
		_, err := servicesOf(server).Renumber(t.Context(), name, &v1.Renumbering{
			Spec: v1.RenumberingSpec{Kind: "LoadBalancerPool", From: from, To: to},
		}, metav1.CreateOptions{})
		return err
	}
	get := func(name string) *v1.Service {
		t.Helper()
		svc, err := servicesOf(server).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return svc
	}
	for _, name := range []string{"web", "tls", "own"} {
		before := revisionOf(t, store.Client)
		if err := move(name, "old", "new"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if writes := revisionOf(t, store.Client) - before; writes != 1 {
			t.Errorf("%s: %d writes", name, writes)
		}
		framework.Verify(t, store.Client)
	}
	shared := addresses(get("web"))[0]
	expectAddresses(t, get("web"), shared)
	expectAddresses(t, get("tls"), shared)
	own := addresses(get("own"))
	if len(own) != 1 || own[0] == shared || !strings.HasPrefix(own[0], "198.51.100.") || !strings.HasPrefix(shared, "198.51.100.") {
		t.Errorf("own has %v, and the others %s", own, shared)
	}
	// An update keeps the address.
	patched, err := servicesOf(server).Patch(t.Context(), "own", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
		metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expectAddresses(t, patched, own...)
	const named = `metadata.annotations[portolan.dev/load-balancer-ips]: Invalid value: "192.0.2.7": ` +
		`the Service names this value: change that instead`
	if err := move("fixed", "old", "new"); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), named) {
		t.Errorf("a Service that names its address: %v", err)
	}
	if err := move("own", "new", "old"); err != nil {
		t.Error(err)
	}
	if got := addresses(get("own")); len(got) != 1 || !strings.HasPrefix(got[0], "192.0.2.") {
		t.Errorf("after going back: %v", got)
	}
	framework.Verify(t, store.Client)
}
