package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// expectConflict wants a 409 with everything in it.
func expectConflict(t *testing.T, what string, err error, parts ...string) {
	t.Helper()
	missing := func(part string) bool { return !strings.Contains(err.Error(), part) }
	if !apierrors.IsConflict(err) || slices.ContainsFunc(parts, missing) {
		t.Errorf("%s: got %v\nwant a 409 with %q", what, err, parts)
	}
}

// expectQuiet wants verify to find nothing, not even a warning.
func expectQuiet(t *testing.T, store *framework.Etcd) {
	t.Helper()
	framework.ExpectQuiet(t, framework.Check(t, store.Client))
}

var dryRunOnly = metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}

// TestClaimsOfServicesAreGuarded is defect C6 (test/integration/defects) in full: upstream lets everybody
// delete an address that is in use, and gives it to the next Service.
func TestClaimsOfServicesAreGuarded(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20999", "10.96.0.0/16"))
	ctx := t.Context()
	svc, err := servicesOf(replicas[0]).Create(ctx, serviceWith("web", onNodePort(20500), onAddresses("10.96.5.5")), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, replica := range replicas {
		addresses, ports := replica.Client.PortolanV1().IPAddresses(), replica.Client.PortolanV1().NodePorts()
		edit := `{"spec":{"parentRef":{"name":"other"}}}`
		label := fmt.Sprintf(`{"metadata":{"labels":{"seen":"%d"}}}`, i)
		for _, kind := range []struct {
			name   string
			delete func(metav1.DeleteOptions) error
			sweep  func(metav1.DeleteOptions) error
			patch  func(string) error
		}{
			{
				"10.96.5.5",
				func(o metav1.DeleteOptions) error { return addresses.Delete(ctx, "10.96.5.5", o) },
				func(o metav1.DeleteOptions) error {
					return addresses.DeleteCollection(ctx, o, metav1.ListOptions{})
				},
				func(body string) error {
					_, err := addresses.Patch(ctx, "10.96.5.5", types.MergePatchType, []byte(body), metav1.PatchOptions{})
					return err
				},
			},
			{
				"20500",
				func(o metav1.DeleteOptions) error { return ports.Delete(ctx, "20500", o) },
				func(o metav1.DeleteOptions) error { return ports.DeleteCollection(ctx, o, metav1.ListOptions{}) },
				func(body string) error {
					_, err := ports.Patch(ctx, "20500", types.MergePatchType, []byte(body), metav1.PatchOptions{})
					return err
				},
			},
		} {
			expectConflict(t, "delete", kind.delete(metav1.DeleteOptions{}), kind.name, "is held by services", "/default/web")
			expectConflict(t, "delete, dry run", kind.delete(dryRunOnly), kind.name, "is held by services", "/default/web")
			expectConflict(t, "deletecollection", kind.sweep(metav1.DeleteOptions{}), kind.name, "is held by services", "/default/web")
			expectConflict(t, "deletecollection, dry run", kind.sweep(dryRunOnly), kind.name, "is held by services", "/default/web")
			if err := kind.patch(edit); !apierrors.IsInvalid(err) && !apierrors.IsConflict(err) {
				t.Errorf("edit of %s: %v", kind.name, err)
			}
			if err := kind.patch(`{"spec":{"parentRef":{"uid":"other"}}}`); !apierrors.IsInvalid(err) && !apierrors.IsConflict(err) {
				t.Errorf("edit of the uid in %s: %v", kind.name, err)
			}
			// Labels are anybody's, finalizers the server's.
			if err := kind.patch(label); err != nil {
				t.Error(err)
			}
			expectConflict(t, "finalizer", kind.patch(`{"metadata":{"finalizers":["example.com/f"]}}`), kind.name, "is held by services",
				"/default/web")
		}
		if _, err := ports.Patch(ctx, "20500", types.MergePatchType, []byte(`{"spec":{"protocols":["UDP"]}}`),
			metav1.PatchOptions{}); !apierrors.IsInvalid(err) && !apierrors.IsConflict(err) {
			t.Errorf("edit of the protocols: %v", err)
		}
	}
	expectQuiet(t, store)
	stored, err := servicesOf(replicas[1]).Get(ctx, "web", metav1.GetOptions{})
	if err != nil || stored.ResourceVersion != svc.ResourceVersion {
		t.Errorf("the Service was written: %v", err)
	}
	// A claim that got a finalizer of somebody's, which earlier releases let pass,
	// goes with its Service all the same.
	putStored(t, store, "nodeports/20500",
		`{"apiVersion":"portolan.dev/v1","kind":"NodePort","metadata":{"name":"20500","uid":"p","finalizers":["example.com/f"]},`+
			`"spec":{"protocols":["TCP"],"parentRef":{"group":"portolan.dev","resource":"services","namespace":"default","name":"web","uid":"`+string(svc.UID)+`"}}}`)
	if err := servicesOf(replicas[1]).Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	expectAllocated(t, replicas, []int64{0}, 0)
}

// TestReservations has claims made by hand keep their values from Services.
func TestReservations(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20003", "10.96.0.0/29"))
	ctx := t.Context()
	ref := &v1.ParentReference{Resource: "nodes", Name: "router"}
	api := replicas[0].Client.PortolanV1()
	for _, address := range []string{"10.96.0.1", "10.96.0.2", "10.96.0.3"} {
		if _, err := api.IPAddresses().Create(ctx,
			&v1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: address},
				Spec: v1.IPAddressSpec{ParentRef: ref}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, port := range []string{"20000", "20001"} {
		if _, err := api.NodePorts().Create(ctx, &v1.NodePort{ObjectMeta: metav1.ObjectMeta{Name: port}, Spec: v1.NodePortSpec{ParentRef: ref}},
			metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	forged := &v1.NodePort{ObjectMeta: metav1.ObjectMeta{Name: "20002"},
		Spec: v1.NodePortSpec{ParentRef: &v1.ParentReference{Resource: "services", Namespace: "default", Name: "x", UID: "u"}}}
	if _, err := api.NodePorts().Create(ctx, forged, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a claim with a uid was taken from a client: %v", err)
	}

	// Straight away on both replicas, of which one can't have heard of them.
	for _, replica := range replicas {
		svc := serviceWith("asks", onAddresses("10.96.0.2"))
		_, err := servicesOf(replica).Create(ctx, svc, metav1.CreateOptions{})
		expectInvalid(t, "reserved address", err, addressTaken(&svc.Spec, "10.96.0.2")+" by nodes/router")
		_, err = servicesOf(replica).Create(ctx, serviceWith("asks", onNodePort(20001)), metav1.CreateOptions{})
		expectInvalid(t, "reserved port", err, portTaken(20001)+" by nodes/router")
	}
	for n := range 3 {
		change := onNodePort(0)
		if n == 2 {
			change = func(*corev1.ServiceSpec) {}
		}
		svc, err := servicesOf(replicas[1-n%2]).Create(ctx, serviceWith(fmt.Sprintf("auto-%d", n), change), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if svc.Spec.ClusterIP < "10.96.0.4" || svc.Spec.Ports[0].NodePort != 0 && svc.Spec.Ports[0].NodePort < 20002 {
			t.Errorf("a reserved value was picked: %+v", svc.Spec)
		}
	}
	expectAllocated(t, replicas, []int64{6}, 4)
	_, err := servicesOf(replicas[0]).Create(ctx, serviceWith("surplus"), metav1.CreateOptions{})
	expectInvalid(t, "full", err, "range is full: kubernetes (10.96.0.0/29) holds 6 of 6")
	expectQuiet(t, store)

	// A reservation that goes leaves its value to be asked for.
	if err := api.IPAddresses().Delete(ctx, "10.96.0.2", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := servicesOf(replicas[1]).Create(ctx, serviceWith("asks", onAddresses("10.96.0.2")), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	framework.Verify(t, store.Client)
}

// TestServiceCIDRInUse is defect C6 (test/integration/defects) for ranges.
func TestServiceCIDRInUse(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20999", "10.96.0.0/24"))
	ctx := t.Context()
	for i, replica := range replicas {
		cidrs := replica.Client.PortolanV1().ServiceCIDRs()
		extra := &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "extra"}, Spec: v1.ServiceCIDRSpec{CIDRs: []string{"10.97.0.0/24"}}}
		create := func(cidr *v1.ServiceCIDR) {
			t.Helper()
			if _, err := cidrs.Create(ctx, cidr, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		create(extra)
		if err := cidrs.Delete(ctx, "extra", metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete of an empty ServiceCIDR: %v", err)
		}

		create(extra)
		name := fmt.Sprintf("web-%d", i)
		if _, err := servicesOf(replica).Create(ctx, serviceWith(name, onAddresses("10.97.0.7")), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		// On the other replica too, whatever it has heard of by now.
		for _, on := range replicas {
			err := on.Client.PortolanV1().ServiceCIDRs().Delete(ctx, "extra", metav1.DeleteOptions{})
			expectConflict(t, "delete in use", err, "10.97.0.7", "services.portolan.dev/default/"+name)
		}
		cidr, err := cidrs.Get(ctx, "extra", metav1.GetOptions{})
		if err != nil || cidr.DeletionTimestamp != nil {
			t.Errorf("a refused delete left its mark: %+v, %v", cidr, err)
		}

		// Another that has the address lets it go.
		wider := &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "wider"}, Spec: v1.ServiceCIDRSpec{CIDRs: []string{"10.97.0.0/28"}}}
		create(wider)
		if err := cidrs.Delete(ctx, "extra", metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete of a ServiceCIDR that another covers: %v", err)
		}
		expectConflict(t, "delete of the last one", cidrs.Delete(ctx, "wider", metav1.DeleteOptions{}), "services.portolan.dev/default/"+name)
		expectQuiet(t, store)
		if err := servicesOf(replicas[1-i]).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		if err := cidrs.Delete(ctx, "wider", metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete of a ServiceCIDR that is empty again: %v", err)
		}
		expectQuiet(t, store)
	}
}

// TestNodePortRangeInUse shrinks ranges over ports that are held.
func TestNodePortRangeInUse(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20009", "10.96.0.0/24"))
	ctx := t.Context()
	if _, err := servicesOf(replicas[0]).Create(ctx, serviceWith("web", onNodePort(20008)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	setPorts := func(on int, entries ...string) error {
		body := fmt.Sprintf(`{"spec":{"ports":["%s"]}}`, strings.Join(entries, `","`))
		_, err := replicas[on].Client.PortolanV1().NodePortRanges().Patch(ctx, v1.DefaultRangeName, types.MergePatchType, []byte(body),
			metav1.PatchOptions{})
		return err
	}
	for on := range replicas {
		for _, entries := range [][]string{{"20000-20007"}, {"20009"}, {"20000-20007", "20009-20019"}} {
			if err := setPorts(on, entries...); !apierrors.IsInvalid(err) ||
				!strings.Contains(err.Error(), "20008 is held by services.portolan.dev/default/web") {
				t.Errorf("range to %v: got %v, want a 422 that names the holder", entries, err)
			}
		}
		expectConflict(t, "delete in use",
			replicas[on].Client.PortolanV1().NodePortRanges().Delete(ctx, v1.DefaultRangeName,
				metav1.DeleteOptions{}), "20008", "services.portolan.dev/default/web")
		for _, entries := range [][]string{{"20000-20019"}, {"20008"}, {"20005-20008", "20020"}, {"20000-20009"}} {
			if err := setPorts(on, entries...); err != nil {
				t.Errorf("range to %v: %v", entries, err)
			}
		}
		expectQuiet(t, store)
	}
	if err := setPorts(1, "20005-20008"); err != nil {
		t.Fatal(err)
	}
	_, err := servicesOf(replicas[0]).Create(ctx, serviceWith("outside", onNodePort(20001)), metav1.CreateOptions{})
	expectInvalid(t, "port outside", err,
		"spec.ports[0].nodePort: Invalid value: 20001: provided port is not in the valid range. The range of valid ports is 20005-20008")
	if err := servicesOf(replicas[1]).Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if err := replicas[0].Client.PortolanV1().NodePortRanges().Delete(ctx, v1.DefaultRangeName, metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete of an empty NodePortRange: %v", err)
	}
	expectQuiet(t, store)
}

// rangeRace creates Services while ranges come and go.
type rangeRace struct {
	*testing.T
	store    *framework.Etcd
	replicas []*framework.Server
	// inside and outside count the creates that succeeded and those that named a
	// value outside all ranges; deleted and refused count deletions of ranges.
	inside, outside, deleted, refused atomic.Int32
	done                              chan struct{}
}

// TestCreatesAgainstTheDeletionOfTheirRange has ranges come and go under
// creates. No Service ends up outside every range, and one that leaves its
// values open is never rejected because of a range that has gone.
func TestCreatesAgainstTheDeletionOfTheirRange(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20999", "10.96.0.0/24"))
	r := &rangeRace{T: t, store: store, replicas: replicas, done: make(chan struct{})}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() { r.create(i) })
	}
	all.Go(r.verify)
	all.Go(r.changeRanges)
	all.Wait()
	t.Logf("%d creates, %d refused as outside; %d deletions of ranges, %d refused", r.inside.Load(), r.outside.Load(), r.deleted.Load(),
		r.refused.Load())
	expectQuiet(t, store)
	expectAllocated(t, replicas, []int64{0}, 0)
}

// create creates and deletes Services until the ranges have been deleted often
// enough. The first two of four clients name values of the ranges that go.
func (r *rangeRace) create(client int) {
	for n := 0; ; n++ {
		select {
		case <-r.done:
			return
		default:
		}
		svc := serviceWith(fmt.Sprintf("svc-%d-%d", client, n), onNodePort(0))
		automatic := client >= 2
		switch {
		case automatic:
		case client == 0:
			onAddresses(fmt.Sprintf("10.97.0.%d", 10*client+1+n%10))(&svc.Spec)
		default:
			onNodePort(int32(21000 + 100*client + n%100))(&svc.Spec)
		}
		_, err := servicesOf(r.replicas[n%2]).Create(r.Context(), svc, metav1.CreateOptions{})
		switch {
		case err == nil:
			r.inside.Add(1)
			if err := servicesOf(r.replicas[(n+client)%2]).Delete(r.Context(), svc.Name, metav1.DeleteOptions{}); err != nil {
				r.Errorf("delete of %s: %v", svc.Name, err)
			}
		case !automatic && isOutside(err):
			r.outside.Add(1)
		case !automatic && apierrors.IsInvalid(err) && strings.HasSuffix(withoutHolder(err), "already allocated"):
			// By a pick.
		default:
			r.Errorf("create of %s: %v", svc.Name, err)
		}
	}
}

func isOutside(err error) bool {
	return apierrors.IsInvalid(err) && (strings.Contains(err.Error(), "the provided network does not match the current range") ||
		strings.Contains(err.Error(), "provided port is not in the valid range"))
}

// verify checks the store now and then, out of step with the ranges.
func (r *rangeRace) verify() {
	for {
		select {
		case <-r.done:
			return
		case <-time.After(100 * time.Millisecond):
			expectQuiet(r.T, r.store)
		}
	}
}

// changeRanges creates and deletes ranges.
func (r *rangeRace) changeRanges() {
	defer close(r.done)
	const rounds = 5
	ctx := r.Context()
	extraCIDR := &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "extra"}, Spec: v1.ServiceCIDRSpec{CIDRs: []string{"10.97.0.0/24"}}}
	extraPorts := &v1.NodePortRange{ObjectMeta: metav1.ObjectMeta{Name: "extra"}, Spec: v1.NodePortRangeSpec{Ports: []string{"21000-21999"}}}
	for round := range rounds {
		api := r.replicas[round%2].Client.PortolanV1()
		if _, err := api.ServiceCIDRs().Create(ctx, extraCIDR, metav1.CreateOptions{}); err != nil {
			r.Error(err)
		}
		if _, err := api.NodePortRanges().Create(ctx, extraPorts, metav1.CreateOptions{}); err != nil {
			r.Error(err)
		}
		// Until something was created with it there.
		before := r.inside.Load()
		_ = wait.PollUntilContextTimeout(ctx, time.Millisecond, time.Minute, true,
			func(context.Context) (bool, error) { return r.inside.Load() > before+10, nil })
		other := r.replicas[1-round%2].Client.PortolanV1()
		r.deleteRange("ServiceCIDR", func() error { return other.ServiceCIDRs().Delete(ctx, "extra", metav1.DeleteOptions{}) })
		r.deleteRange("NodePortRange", func() error { return other.NodePortRanges().Delete(ctx, "extra", metav1.DeleteOptions{}) })
	}
}

// deleteRange tries again for as long as the range is in use.
func (r *rangeRace) deleteRange(what string, try func() error) {
	err := wait.PollUntilContextTimeout(r.Context(), time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		err := try()
		switch {
		case err == nil:
			r.deleted.Add(1)
			return true, nil
		// Both are answers for a client to come back on.
		case apierrors.IsConflict(err) &&
			strings.Contains(err.Error(), "is held by services.portolan.dev/default/"), apierrors.IsTooManyRequests(err):
			r.refused.Add(1)
			return false, nil
		}
		return false, err
	})
	if err != nil {
		r.Errorf("delete of %s: %v", what, err)
	}
}

// TestUnusedRangesGoWhileServicesCome deletes ranges that nobody uses while
// others are claimed from without a pause.
func TestUnusedRangesGoWhileServicesCome(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges("20000-29999", "10.96.0.0/16"))
	ctx := t.Context()
	var stop atomic.Bool
	var busy sync.WaitGroup
	for worker := range 8 {
		busy.Go(func() {
			for i := 0; !stop.Load(); i++ {
				if _, err := servicesOf(replicas[0]).Create(ctx, serviceWith(fmt.Sprintf("s-%d-%d", worker, i), onNodePort(0)),
					metav1.CreateOptions{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	api := replicas[0].Client.PortolanV1()
	for i := range 10 {
		name := fmt.Sprint("unused-", i)
		cidr := &v1.ServiceCIDR{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.ServiceCIDRSpec{CIDRs: []string{fmt.Sprintf("10.%d.0.0/30", 97+i)}},
		}
		ports := &v1.NodePortRange{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.NodePortRangeSpec{Ports: []string{fmt.Sprint(10000 + i)}, AutoAssign: ptr.To(false)},
		}
		if _, err := api.ServiceCIDRs().Create(ctx, cidr, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := api.NodePortRanges().Create(ctx, ports, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, resource := range []string{"servicecidrs", "nodeportranges"} {
			// The client must not try again for the server.
			err := api.RESTClient().Delete().Resource(resource).Name(name).MaxRetries(0).Do(ctx).Error()
			picked := resource == "servicecidrs" && apierrors.IsConflict(err)
			if err != nil && !picked {
				t.Errorf("delete from %s: %v", resource, err)
			}
		}
	}
	stop.Store(true)
	busy.Wait()
	framework.Verify(t, store.Client)
}
