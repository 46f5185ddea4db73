package api

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// putService writes a Service with an address and a node port past the server,
// which then knows of no claims on them.
func putService(t *testing.T, store *framework.Etcd, name, address string, port int, more string) {
	t.Helper()
	putStored(t, store, "services/default/"+name, fmt.Sprintf(`{"apiVersion":"portolan.dev/v1","kind":"Service",`+
		`"metadata":{"namespace":"default","name":%q,"uid":"uid-%s"%s},"spec":{"type":"NodePort","clusterIP":%q,"clusterIPs":[%q],`+
		`"ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","sessionAffinity":"None","externalTrafficPolicy":"Cluster","internalTrafficPolicy":"Cluster",`+
		`"ports":[{"name":"a","port":80,"protocol":"TCP","targetPort":80,"nodePort":%d}]}}`, name, name, more, address, address, port))
}

// TestUnclaimedServicesAreAdopted updates stored Services without claims in every
// way there is: each claims what the Service holds.
func TestUnclaimedServicesAreAdopted(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20999", "10.96.0.0/16"))
	ctx := t.Context()
	patch := func(subresource ...string) func(*framework.Server, string, string) error {
		return func(server *framework.Server, name, body string) error {
			_, err := servicesOf(server).Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{}, subresource...)
			return err
		}
	}
	for i, test := range []struct {
		name  string
		write func(*framework.Server, string, string) error
		body  string
	}{
		{"label", patch(), `{"metadata":{"labels":{"a":"b"}}}`},
		{"finalizer", patch(), `{"metadata":{"finalizers":["example.com/f"]}}`},
		{"spec", patch(), `{"spec":{"sessionAffinity":"ClientIP"}}`},
		{"protocol", patch(), `{"spec":{"ports":[{"name":"a","port":80,"protocol":"UDP","targetPort":80,"nodePort":%d}]}}`},
		{"other-port", patch(), `{"spec":{"ports":[{"name":"a","port":80,"protocol":"TCP","targetPort":80,"nodePort":0}]}}`},
		{"status", patch("status"), `{"status":{"conditions":[{"type":"A","status":"True","reason":"R","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`},
		{"nothing", patch(), `{"metadata":{"labels":null}}`},
	} {
		address, port := fmt.Sprintf("10.96.1.%d", i+1), 20100+i
		if strings.Contains(test.body, "%d") {
			test.body = fmt.Sprintf(test.body, port)
		}
		putService(t, store, test.name, address, port, "")
		for _, violation := range framework.Check(t, store.Client).Violations {
			if !strings.Contains(violation, "services/default/"+test.name) {
				t.Errorf("before %s: %s", test.name, violation)
			}
		}
		if test.name == "nothing" {
			// What changes nothing is not written, and claims nothing.
			continue
		}
		before := revisionOf(t, store)
		if err := test.write(replicas[i%2], test.name, test.body); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if after := revisionOf(t, store); after != before+1 {
			t.Errorf("%s took %d writes, want one", test.name, after-before)
		}
		expectQuiet(t, store)
		claim, err := replicas[i%2].Client.PortolanV1().IPAddresses().Get(ctx, address, metav1.GetOptions{})
		if err != nil || claim.Spec.ParentRef.UID != types.UID("uid-"+test.name) || claim.Labels[v1.LabelManagedBy] != v1.ManagedByAllocator {
			t.Errorf("%s: the claim on the address is %+v, %v", test.name, claim, err)
		}
	}
	if _, err := servicesOf(replicas[0]).Patch(ctx, "finalizer", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`),
		metav1.PatchOptions{}); err != nil {
		t.Error(err)
	}
	deleteAllServices(t, replicas[1])
	expectQuiet(t, store)
	expectAllocated(t, replicas, []int64{0}, 0)
}

// TestServicesThatHoldWhatIsAnothers are stored past the server with an address
// or a port that another Service has, or that is reserved. An update says so; one
// that gives the value up goes through, and so does whatever has to.
func TestServicesThatHoldWhatIsAnothers(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges("20000-20999", "10.96.0.0/16"))
	ctx, services := t.Context(), servicesOf(replicas[0])
	web, err := services.Create(ctx, serviceWith("web", onNodePort(20500), onAddresses("10.96.5.5")), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	reserved := &v1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "10.96.5.6"},
		Spec: v1.IPAddressSpec{ParentRef: &v1.ParentReference{Resource: "nodes", Name: "router"}}}
	if _, err := replicas[0].Client.PortolanV1().IPAddresses().Create(ctx, reserved, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch := func(name, body string, subresource ...string) error {
		_, err := services.Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{}, subresource...)
		return err
	}
	const label, spec = `{"metadata":{"labels":{"a":"b"}}}`, `{"spec":{"sessionAffinity":"ClientIP"}}`
	addressOf := func(address, holder string) string {
		return fmt.Sprintf(`spec.clusterIPs: Invalid value: ["%s"]: failed to allocate IP %s: provided IP is already allocated by %s`, address,
			address, holder)
	}

	putService(t, store, "same-address", "10.96.5.5", 20501, "")
	putService(t, store, "same-port", "10.96.5.7", 20500, `,"finalizers":["example.com/f"]`)
	putService(t, store, "same-reservation", "10.96.5.6", 20502, "")
	for name, want := range map[string]string{
		"same-address":     addressOf("10.96.5.5", "services.portolan.dev/default/web"),
		"same-port":        portTaken(20500) + " by services.portolan.dev/default/web",
		"same-reservation": addressOf("10.96.5.6", "nodes/router"),
	} {
		for _, body := range []string{label, spec} {
			before := revisionOf(t, store)
			if err := patch(name, body); !apierrors.IsInvalid(err) || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s of %s: got %v\nwant a 422 with %s", body, name, err, want)
			}
			if after := revisionOf(t, store); after != before {
				t.Errorf("a refused update of %s wrote", name)
			}
		}
		condition := `{"status":{"conditions":[{"type":"A","status":"True","reason":"R","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
		if err := patch(name, condition, "status"); err != nil {
			t.Errorf("status of %s: %v", name, err)
		}
	}

	// One that gives the value up.
	if err := patch("same-port", `{"spec":{"ports":[{"name":"a","port":80,"protocol":"TCP","targetPort":80,"nodePort":20600}]}}`); err != nil {
		t.Errorf("an update that gives the port up: %v", err)
	}
	if err := patch("same-port", label); err != nil {
		t.Errorf("an update after that: %v", err)
	}
	if err := patch("same-address",
		`{"spec":{"type":"ExternalName","externalName":"a.example","clusterIP":"","clusterIPs":null,"ports":null}}`); err != nil {
		t.Errorf("an update that gives the address up: %v", err)
	}
	// Deletes, with and without finalizers.
	putService(t, store, "deleted", "10.96.5.5", 20500, `,"finalizers":["example.com/f"]`)
	if err := services.Delete(ctx, "deleted", metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete with a finalizer: %v", err)
	}
	if err := patch("deleted", `{"metadata":{"labels":{"a":"b"},"finalizers":["example.com/f"]}}`); err != nil {
		t.Errorf("an update of one that is being deleted: %v", err)
	}
	for _, name := range []string{"deleted", "same-port"} {
		if err := patch(name, `{"metadata":{"finalizers":null}}`); err != nil {
			t.Errorf("taking the finalizer from %s: %v", name, err)
		}
	}
	if err := services.Delete(ctx, "same-reservation", metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete: %v", err)
	}
	expectQuiet(t, store)
	if got, err := services.Get(ctx, "web", metav1.GetOptions{}); err != nil || got.ResourceVersion != web.ResourceVersion {
		t.Errorf("the holder was written: %+v, %v", got, err)
	}
	deleteAllServices(t, replicas[0])
	expectAllocated(t, replicas, []int64{1}, 0)
}
