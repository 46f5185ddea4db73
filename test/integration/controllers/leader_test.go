package controllers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/test/framework"
)

// elect turns leader election on, with a short lease.
func elect(o *controllers.Options) {
	o.LeaderElection.LeaderElect = true
	o.LeaderElection.LeaseDuration = metav1.Duration{Duration: 3 * time.Second}
	o.LeaderElection.RenewDeadline = metav1.Duration{Duration: time.Second}
	o.LeaderElection.RetryPeriod = metav1.Duration{Duration: 100 * time.Millisecond}
}

// holder returns the holder of the lease, empty if there is none.
func (f *fixture) holder() string {
	lease, err := f.cluster.CoordinationV1().Leases("portolan").Get(f.t.Context(), "portolan-controllers", metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}

// writers returns the controllers that have written since the last call.
func (f *fixture) writers() string {
	var names []string
	for _, line := range f.writes.take() {
		names = append(names, strings.Fields(line)[0])
	}
	return strings.Join(slices.Compact(names), " ")
}

// partition refuses the lease to one holder, whom the cluster is away for.
type partition struct {
	mu   sync.Mutex
	from string
}

func (p *partition) set(identity string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.from = identity
}

func (p *partition) react(action clienttesting.Action) (bool, runtime.Object, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lease, ok := action.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease)
	if ok && p.from != "" && ptr.Deref(lease.Spec.HolderIdentity, "") == p.from {
		return true, nil, errors.New("the cluster is away")
	}
	return false, nil, nil
}

// TestHandover has the lease go from one instance to another, and back: in turn
// one ends, and one can't renew. Only the holder writes, and no change is lost.
func TestHandover(t *testing.T) {
	f := start(t)
	away := &partition{}
	f.cluster.PrependReactor("update", "leases", away.react)
	stopA := f.run("a", elect)
	f.eventually("a leads", func() string { return fmt.Sprint(f.holder() != "") }, "true")
	a := f.holder()
	stopB := f.run("b", elect)
	defer stopB()
	f.createService(framework.NewService(namespace, "web", nil))
	pod := f.createPod(newPod("web", "a", ready, "10.1.0.1"))
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
	if got := f.writers(); got != "a" {
		t.Errorf("%q wrote while a had the lease", got)
	}

	stopA()
	// It lets go of the lease, and what changes now waits for the next.
	f.updatePod(pod, unready)
	f.eventually("b leads", func() string { h := f.holder(); return fmt.Sprint(h != "" && h != a) }, "true")
	b := f.holder()
	f.expect("web", "| 10.1.0.1:8080", "10.1.0.1:8080")
	if got := f.writes.take(); !slices.Equal(got, []string{"b PUT endpoints", "b PUT endpointslices"}) {
		t.Errorf("the change between the two was written as %q", got)
	}

	stopC := f.run("c", elect)
	away.set(b)
	f.eventually("c leads", func() string { h := f.holder(); return fmt.Sprint(h != "" && h != b) }, "true")
	f.updatePod(pod, ready)
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
	if got := f.writes.take(); !slices.Equal(got, []string{"c PUT endpoints", "c PUT endpointslices"}) {
		t.Errorf("the change after the second was written as %q", got)
	}

	// b is back and waits; it takes over again.
	away.set("")
	stopC()
	f.eventually("b leads again", f.holder, b)
	f.updatePod(pod, unready)
	f.expect("web", "| 10.1.0.1:8080", "10.1.0.1:8080")
	if got := f.writers(); got != "b" {
		t.Errorf("%q wrote while b had the lease again", got)
	}
}

// TestRelease wants controllers that stop to release the lease.
func TestRelease(t *testing.T) {
	f := start(t)
	stop := f.run("a", elect)
	f.eventually("a leads", func() string { return fmt.Sprint(f.holder() != "") }, "true")
	stop()
	if holder := f.holder(); holder != "" {
		t.Errorf("%s has ended and still has the lease", holder)
	}
}

// TestLeaderWithoutPortolan has a leader that reaches the Lease and not Portolan.
// It lets go of the Lease, another takes over, and it gets the Lease again when it
// reaches Portolan.
func TestLeaderWithoutPortolan(t *testing.T) {
	f := start(t)
	f.run("a", elect)
	f.eventually("a leads", func() string { return fmt.Sprint(f.holder() != "") }, "true")
	a := f.holder()
	stopB := f.run("b", elect)
	f.createService(framework.NewService(namespace, "web", nil))
	pod := f.createPod(newPod("web", "a", ready, "10.1.0.1"))
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")

	f.writes.cut("a")
	f.eventually("b leads", func() string { h := f.holder(); return fmt.Sprint(h != "" && h != a) }, "true")
	f.writes.take()
	f.updatePod(pod, unready)
	f.expect("web", "| 10.1.0.1:8080", "10.1.0.1:8080")
	if got := f.writers(); got != "b" {
		t.Errorf("%q wrote while b had the lease", got)
	}

	f.writes.cut("")
	stopB()
	f.eventually("a leads again", f.holder, a)
	f.updatePod(pod, ready)
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
}
