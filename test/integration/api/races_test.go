package api

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	clientv1 "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestNodePortChangesAgainstLabelPatches is what upstream answers 146 of 149
// times with a 422, leaking 69 of 100 ports: defect C1 (test/integration/defects).
func TestNodePortChangesAgainstLabelPatches(t *testing.T) {
	t.Parallel()
	const rounds, first = 60, 20000
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20999", "10.96.0.0/16"))
	ctx := t.Context()
	write := map[string]func(port int32) (*v1.Service, error){
		"patch": func(port int32) (*v1.Service, error) {
			body := fmt.Sprintf(`[{"op":"replace","path":"/spec/ports/0/nodePort","value":%d}]`, port)
			return servicesOf(replicas[0]).Patch(ctx, "patch", types.JSONPatchType, []byte(body), metav1.PatchOptions{})
		},
		"replace": func(port int32) (*v1.Service, error) {
			return servicesOf(replicas[0]).Update(ctx, serviceWith("replace", onNodePort(port)), metav1.UpdateOptions{})
		},
		"apply": func(port int32) (*v1.Service, error) {
			body := fmt.Sprintf(`{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"apply"},"spec":{"type":"NodePort","ports":[{"name":"a","port":80,"nodePort":%d}]}}`, port)
			return servicesOf(replicas[0]).Patch(ctx, "apply", types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "test"})
		},
	}
	var all sync.WaitGroup
	base := int32(first)
	for name, write := range write {
		base += 2 * rounds
		from := base
		if _, err := write(from); err != nil && name != "patch" {
			t.Fatal(err)
		}
		if name == "patch" {
			if _, err := servicesOf(replicas[0]).Create(ctx, serviceWith(name, onNodePort(from)), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan struct{})
		for i := range 3 {
			all.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-done:
						return
					default:
					}
					body := fmt.Sprintf(`{"metadata":{"labels":{"by-%d":"%d"}}}`, i, n)
					if _, err := servicesOf(replicas[i%2]).Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
						t.Errorf("label patch of %s: %v", name, err)
						return
					}
				}
			})
		}
		all.Go(func() {
			defer close(done)
			for n := range int32(rounds) {
				// There and back, so that a port is taken again that was just
				// released, and a new one.
				for _, port := range []int32{from + 1 + n, from} {
					svc, err := write(port)
					if err != nil {
						t.Errorf("%s to %d: %v", name, port, err)
						return
					}
					if got := svc.Spec.Ports[0].NodePort; got != port {
						t.Errorf("%s to %d ended at %d", name, port, got)
					}
				}
			}
		})
	}
	all.Wait()
	framework.Verify(t, store.Client)
	expectAllocated(t, replicas, []int64{3}, 3)
	deleteAllServices(t, replicas[1])
	expectAllocated(t, replicas, []int64{0}, 0)
	framework.Verify(t, store.Client)
}

// TestRefusedReplacesAgainstThieves is defect C1 (test/integration/defects) again: upstream frees what a
// replace gives up before it is refused with a 409, and gives it away.
func TestRefusedReplacesAgainstThieves(t *testing.T) {
	t.Parallel()
	random := framework.Random(framework.Seed(t), 0)
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20999", "10.96.0.0/16"))
	ctx := t.Context()
	refused, replaced, stolen := 0, 0, 0
	for round := range 30 {
		name := fmt.Sprintf("victim-%d", round)
		victim, err := servicesOf(replicas[0]).Create(ctx, serviceWith(name, onNodePort(0)), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		label := func() {
			if _, err := servicesOf(replicas[round%2]).Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
				metav1.PatchOptions{}); err != nil {
				t.Error(err)
			}
		}
		certain := random.IntN(2) == 0
		if certain {
			label()
		}
		port, address := victim.Spec.Ports[0].NodePort, victim.Spec.ClusterIP
		change := victim.DeepCopy()
		change.Spec.Type = corev1.ServiceTypeClusterIP
		change.Spec.Ports[0].NodePort = 0
		if random.IntN(2) == 0 {
			change.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}
		}

		var replaceErr error
		var portThieves, addressThieves atomic.Int32
		var all sync.WaitGroup
		all.Go(func() {
			_, replaceErr = servicesOf(replicas[0]).Update(ctx, change, metav1.UpdateOptions{})
		})
		if !certain {
			all.Go(label)
		}
		for i := range 2 {
			all.Go(func() { steal(t, replicas[i%2], fmt.Sprintf("thief-%d-%d", round, i), &portThieves, onNodePort(port)) })
			all.Go(func() {
				steal(t, replicas[i%2], fmt.Sprintf("thief-%d-%d", round, i+2), &addressThieves, onAddresses(address))
			})
		}
		all.Wait()
		mayPort, mayAddress := int32(0), int32(0)
		switch {
		case replaceErr == nil && !certain:
			replaced++
			mayPort = 1
			if change.Spec.Type == corev1.ServiceTypeExternalName {
				mayAddress = 1
			}
		case apierrors.IsConflict(replaceErr):
			refused++
		default:
			t.Errorf("replace (of a stale object: %t): %v", certain, replaceErr)
		}
		if portThieves.Load() > mayPort || addressThieves.Load() > mayAddress {
			t.Errorf("round %d: replace ended with %v, %d got its port and %d its address", round, replaceErr, portThieves.Load(),
				addressThieves.Load())
		}
		stolen += int(portThieves.Load() + addressThieves.Load())
		framework.Verify(t, store.Client)
	}
	t.Logf("%d replaces refused, %d made; %d values taken over", refused, replaced, stolen)
	deleteAllServices(t, replicas[0])
	expectAllocated(t, replicas, []int64{0}, 0)
}

// steal creates Services that name one port or one address, and counts those that
// get it.
func steal(t *testing.T, replica *framework.Server, name string, successes *atomic.Int32, change func(*corev1.ServiceSpec)) {
	t.Helper()
	for n := range 6 {
		thief := serviceWith(fmt.Sprintf("%s-%d", name, n), change)
		if _, err := servicesOf(replica).Create(t.Context(), thief, metav1.CreateOptions{}); err == nil {
			successes.Add(1)
		} else if thief.Spec.ClusterIP != "" {
			expectInvalid(t, "thief", err, addressTaken(&thief.Spec, thief.Spec.ClusterIP))
		} else {
			expectInvalid(t, "thief", err, portTaken(thief.Spec.Ports[0].NodePort))
		}
	}
}

// TestDualStackAllOrNothing is defect C8 (test/integration/defects) under load: of a Service that can't have one
// of its addresses, upstream leaks the other.
func TestDualStackAllOrNothing(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20999", "10.96.0.0/24", "fd00:10:96::/112"))
	ctx := t.Context()
	if _, err := servicesOf(replicas[0]).Create(ctx, serviceWith("holder", onAddresses("10.96.0.10", "fd00:10:96::10")),
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, addresses := range [][]string{
		{"10.96.0.11", "fd00:10:96::10"},
		{"fd00:10:96::11", "10.96.0.10"},
		{"10.96.0.10", "fd00:10:96::11"},
		{"fd00:10:96::10", "10.96.0.11"},
	} {
		svc := serviceWith(fmt.Sprintf("half-%d", i), onAddresses(addresses...), onNodePort(0))
		_, err := servicesOf(replicas[i%2]).Create(ctx, svc, metav1.CreateOptions{})
		taken := addresses[0]
		if strings.HasSuffix(addresses[1], "10") {
			taken = addresses[1]
		}
		expectInvalid(t, "create", err, addressTaken(&svc.Spec, taken))
		framework.Verify(t, store.Client)
	}
	expectAllocated(t, replicas, []int64{1, 1}, 0)

	// Pairs that overlap crosswise: some win, and nobody has half of one.
	const pairs = 8
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 3 * pairs {
		all.Go(func() {
			v4, v6 := fmt.Sprintf("10.96.0.%d", 100+i%pairs), fmt.Sprintf("fd00:10:96::%d", 100+(i*5+i/pairs)%pairs)
			svc := serviceWith(fmt.Sprintf("pair-%d", i), onAddresses(v4, v6))
			_, err := servicesOf(replicas[i%2]).Create(ctx, svc, metav1.CreateOptions{})
			switch {
			case err == nil:
				won.Add(1)
			case apierrors.IsInvalid(err) &&
				(strings.HasSuffix(withoutHolder(err), addressTaken(&svc.Spec, v4)) ||
					strings.HasSuffix(withoutHolder(err), addressTaken(&svc.Spec, v6))):
			default:
				t.Errorf("create of %s: %v", svc.Name, err)
			}
		})
	}
	all.Wait()
	framework.Verify(t, store.Client)
	n := int64(won.Load()) + 1
	expectAllocated(t, replicas, []int64{n, n}, 0)

	// What was refused above is free.
	deleteAllServices(t, replicas[1])
	expectAllocated(t, replicas, []int64{0, 0}, 0)
	for i, addresses := range [][]string{{"10.96.0.11", "fd00:10:96::11"}, {"10.96.0.100", "fd00:10:96::100"}} {
		if _, err := servicesOf(replicas[i]).Create(ctx, serviceWith(fmt.Sprintf("free-%d", i), onAddresses(addresses...)),
			metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
	}
	framework.Verify(t, store.Client)
}

// TestWritesWithAStaleIndex writes on one replica what the other has just
// created or changed and can't have heard of.
func TestWritesWithAStaleIndex(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20999", "10.96.0.0/16"))
	ctx := t.Context()
	here, there := replicas[0], replicas[1]
	for round := range 25 {
		name := fmt.Sprintf("svc-%d", round)
		svc, err := servicesOf(here).Create(ctx, serviceWith(name, onNodePort(0)), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		port := svc.Spec.Ports[0].NodePort
		touch := []byte(fmt.Sprintf(`{"metadata":{"labels":{"round":"%d"}}}`, round))
		must := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		patch := func(on *framework.Server, body string) {
			t.Helper()
			_, err := servicesOf(on).Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
			must(body, err)
		}
		switch round % 5 {
		case 0: // The claims have another revision than they were created at.
			_, err := here.Client.PortolanV1().IPAddresses().Patch(ctx, svc.Spec.ClusterIP, types.MergePatchType, touch, metav1.PatchOptions{})
			must("label of the address", err)
			_, err = here.Client.PortolanV1().NodePorts().Patch(ctx, fmt.Sprint(port), types.MergePatchType, touch, metav1.PatchOptions{})
			must("label of the port", err)
		case 1: // The claim was rewritten for another protocol.
			patch(here, fmt.Sprintf(`{"spec":{"ports":[{"name":"a","port":80,"nodePort":%d,"protocol":"TCP"},{"name":"b","port":80,"nodePort":%d,"protocol":"UDP"}]}}`, port, port))
		case 2: // The port was released, and is another's.
			patch(here, `{"spec":{"type":"ClusterIP"}}`)
			_, err := servicesOf(here).Create(ctx, serviceWith(name+"-heir", onNodePort(port)), metav1.CreateOptions{})
			must("heir", err)
			_, err = servicesOf(there).Create(ctx, serviceWith(name+"-loser", onNodePort(port)), metav1.CreateOptions{})
			expectInvalid(t, "loser", err, portTaken(port))
		case 3: // A release and a claim at once on the other replica.
			patch(there, `{"spec":{"type":"ExternalName","externalName":"example.com"}}`)
			patch(here, `{"spec":{"type":"NodePort","externalName":null}}`)
		case 4: // What is taken again was released over there.
			must("delete", servicesOf(there).Delete(ctx, name, metav1.DeleteOptions{}))
			_, err := servicesOf(here).Create(ctx, serviceWith(name, onNodePort(port), onAddresses(svc.Spec.ClusterIP)), metav1.CreateOptions{})
			must("create again", err)
		}
		must("delete", servicesOf(there).Delete(ctx, name, metav1.DeleteOptions{}))
		framework.Verify(t, store.Client)
	}
	deleteAllServices(t, there)
	expectAllocated(t, replicas, []int64{0}, 0)
	framework.Verify(t, store.Client)
}

// TestTinyRange has many clients of two replicas create and delete in ranges
// that have too little for all of them.
func TestTinyRange(t *testing.T) {
	t.Parallel()
	const clients, rounds = 24, 15
	const addresses, ports = 14, 10
	seed := framework.Seed(t)
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20009", "10.96.0.0/28"))
	ctx := t.Context()
	full := func(err error) bool {
		return apierrors.IsInvalid(err) && strings.Contains(err.Error(), "range is full: kubernetes (")
	}

	var created, exhausted, lost atomic.Int32
	var all sync.WaitGroup
	for client := range clients {
		random := framework.Random(seed, client)
		all.Go(func() {
			for round := range rounds {
				name := fmt.Sprintf("svc-%d-%d", client, round)
				tinyRangeRound(ctx, t, replicas, random, name, full, &created, &exhausted, &lost)
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(20 * time.Millisecond):
		}
		framework.Verify(t, store.Client)
	}
	t.Logf("%d created, %d times the range was full, %d explicit values were taken", created.Load(), exhausted.Load(), lost.Load())
	expectAllocated(t, replicas, []int64{0}, 0)

	// Every single one can be had, and the answer then says what is full.
	for n := range addresses {
		change := []func(*corev1.ServiceSpec){}
		if n < ports {
			change = append(change, onNodePort(0))
		}
		if _, err := servicesOf(replicas[n%2]).Create(ctx, serviceWith(fmt.Sprintf("fill-%d", n), change...),
			metav1.CreateOptions{}); err != nil {
			t.Errorf("number %d of %d addresses and %d ports: %v", n+1, addresses, ports, err)
		}
	}
	expectAllocated(t, replicas, []int64{addresses}, ports)
	for _, replica := range replicas {
		_, err := servicesOf(replica).Create(ctx, serviceWith("surplus"), metav1.CreateOptions{})
		expectInvalid(t, "one too many", err, "failed to allocate a serviceIP: range is full: kubernetes (10.96.0.0/28) holds 14 of 14")
		_, err = servicesOf(replica).Patch(ctx, "fill-13", types.MergePatchType, []byte(`{"spec":{"type":"NodePort"}}`), metav1.PatchOptions{})
		expectInvalid(t, "one too many", err,
			"spec.ports[0].nodePort: Invalid value: 0: failed to allocate a nodePort: range is full: kubernetes (20000-20009) holds 10 of 10")
	}
	framework.Verify(t, store.Client)
	deleteAllServices(t, replicas[0])
	expectAllocated(t, replicas, []int64{0}, 0)
	framework.Verify(t, store.Client)
}

// tinyRangeRound creates a Service, changes it, and deletes it. Nothing may be
// refused but for lack of values, or because an explicit one is taken.
func tinyRangeRound(ctx context.Context, t *testing.T, replicas []*framework.Server, random *rand.Rand, name string, full func(error) bool,
	created, exhausted, lost *atomic.Int32) {
	on := func() clientv1.ServiceInterface { return servicesOf(replicas[random.IntN(len(replicas))]) }
	svc := serviceWith(name)
	explicit := ""
	switch random.IntN(5) {
	case 0:
		port := int32(20000 + random.IntN(10))
		onNodePort(port)(&svc.Spec)
		explicit = portTaken(port)
	case 1:
		address := fmt.Sprintf("10.96.0.%d", 1+random.IntN(14))
		onAddresses(address)(&svc.Spec)
		explicit = addressTaken(&svc.Spec, address)
	case 2, 3:
		onNodePort(0)(&svc.Spec)
	}
	_, err := on().Create(ctx, svc, metav1.CreateOptions{})
	switch {
	case err == nil:
		created.Add(1)
	case full(err):
		exhausted.Add(1)
		return
	case explicit != "" && apierrors.IsInvalid(err) && strings.HasSuffix(withoutHolder(err), explicit):
		lost.Add(1)
		return
	default:
		t.Errorf("create of %s: %v", name, err)
		return
	}
	kind := []string{"NodePort", "ClusterIP"}[random.IntN(2)]
	if _, err := on().Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"type":"`+kind+`"}}`), metav1.PatchOptions{}); full(err) {
		exhausted.Add(1)
	} else if err != nil {
		t.Errorf("patch of %s to %s: %v", name, kind, err)
	}
	if err := on().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete of %s: %v", name, err)
	}
}

// TestExplicitValuesHaveOneWinner asks for the same values on two replicas at
// the same time.
func TestExplicitValuesHaveOneWinner(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20999", "10.96.0.0/16"))
	ctx := t.Context()
	for round := range 10 {
		port, address := int32(20000+round), fmt.Sprintf("10.96.0.%d", 10+round)
		for kind, want := range map[string]struct {
			change func(*corev1.ServiceSpec)
			cause  string
		}{
			"port":    {onNodePort(port), portTaken(port)},
			"address": {onAddresses(address), addressTaken(&corev1.ServiceSpec{ClusterIPs: []string{address}}, address)},
		} {
			var won atomic.Int32
			var all sync.WaitGroup
			for i := range 6 {
				all.Go(func() {
					_, err := servicesOf(replicas[i%2]).Create(ctx, serviceWith(fmt.Sprintf("%s-%d-%d", kind, round, i), want.change),
						metav1.CreateOptions{})
					if err == nil {
						won.Add(1)
						return
					}
					expectInvalid(t, "loser", err, want.cause)
				})
			}
			all.Wait()
			if n := won.Load(); n != 1 {
				t.Errorf("round %d: %d got the %s", round, n, kind)
			}
		}
	}
	framework.Verify(t, store.Client)
	expectAllocated(t, replicas, []int64{20}, 10)
}

// TestExplicitBesideAutomatic asks for one port by number and leaves others
// open: what the client asked for is not picked for the others.
func TestExplicitBesideAutomatic(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges("20000-20003", "10.96.0.0/16"))
	ctx := t.Context()
	open := []corev1.ServicePort{{Name: "b", Port: 81}, {Name: "c", Port: 82}, {Name: "d", Port: 83}}
	for round := range 20 {
		port := int32(20000 + round%4)
		svc := serviceWith("svc", onNodePort(port))
		svc.Spec.Ports = append(svc.Spec.Ports, open...)
		if round%2 == 1 {
			svc.Spec.Ports = svc.Spec.Ports[:3]
			svc.Spec.Type, svc.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
		}
		created, err := servicesOf(replicas[0]).Create(ctx, svc, metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		used := map[int32]bool{created.Spec.HealthCheckNodePort: true}
		for _, p := range created.Spec.Ports {
			used[p.NodePort] = true
		}
		delete(used, 0)
		if len(used) != 4 {
			t.Errorf("round %d: the ports are %+v, health check %d", round, created.Spec.Ports, created.Spec.HealthCheckNodePort)
		}
		framework.Verify(t, store.Client)
		// The same on an update.
		if _, err := servicesOf(replicas[0]).Patch(ctx, "svc", types.MergePatchType,
			[]byte(`{"spec":{"type":"ClusterIP","externalTrafficPolicy":null}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		if updated, err := servicesOf(replicas[0]).Update(ctx, svc, metav1.UpdateOptions{}); err != nil ||
			updated.Spec.Ports[0].NodePort != port {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := servicesOf(replicas[0]).Delete(ctx, "svc", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	expectAllocated(t, replicas, []int64{0}, 0)
}
