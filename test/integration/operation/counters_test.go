package operation

import (
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	clientv1 "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// counted makes requests that the server counts.
type counted struct {
	*testing.T
	services clientv1.ServiceInterface
}

// countedStep is a request, the answer that is wanted, and the series that count it.
type countedStep struct {
	name   string
	do     func() error
	answer func(error) bool
	counts []string
}

// TestCounters makes requests of every kind and wants each value to be counted
// once, and nothing else.
func TestCounters(t *testing.T) {
	t.Parallel()
	const cidr = "10.96.0.0/29"
	server := framework.Start(t, withRanges("20000-20002", cidr))
	want := untouched()
	for _, step := range (counted{t, servicesOf(server)}).steps(cidr) {
		if err := step.do(); !step.answer(err) {
			t.Fatalf("%s: %v", step.name, err)
		}
		for _, series := range step.counts {
			want[series]++
		}
		expect(t, step.name, server, want, counters...)
		if t.Failed() {
			return
		}
	}
}

func (c counted) create(svc *v1.Service, dryRun ...string) error {
	_, err := c.services.Create(c.Context(), svc, metav1.CreateOptions{DryRun: dryRun})
	return err
}

func (c counted) patch(name, body string, dryRun ...string) error {
	_, err := c.services.Patch(c.Context(), name, types.MergePatchType, []byte(body), metav1.PatchOptions{DryRun: dryRun})
	return err
}

func moveTo(port int) string {
	return fmt.Sprintf(`{"spec":{"ports":[{"port":80,"nodePort":%d}]}}`, port)
}

func ok(err error) bool { return err == nil }

// steps go up to the last free value of each range.
func (c counted) steps(cidr string) []countedStep {
	var (
		static, dynamic = fmt.Sprintf("%s{cidr=%q, scope=\"static\"}", addressTotal, cidr), fmt.Sprintf("%s{cidr=%q, scope=\"dynamic\"}",
			addressTotal, cidr)
		times       = fmt.Sprintf("%s{cidr=%q}", addressTimes, cidr)
		taken, full = fmt.Sprintf("%s{cidr=%q, scope=\"static\"}", addressErrors, cidr), fmt.Sprintf("%s{cidr=%q, scope=\"dynamic\"}",
			addressErrors, cidr)
		outside               = addressErrors + `{cidr="", scope="static"}`
		staticP, dynamicP     = portTotal + `{scope="static"}`, portTotal + `{scope="dynamic"}`
		takenPort, fullPorts  = portErrors + `{scope="static"}`, portErrors + `{scope="dynamic"}`
		committed             = transactions + `{outcome="committed"}`
		conflict, objConflict = transactions + `{outcome="claim_conflict"}`, transactions + `{outcome="object_conflict"}`
	)
	return []countedStep{
		{"nothing", func() error { return nil }, ok, nil},
		{"both named", func() error { return c.create(service("b", "10.96.0.3", 20002)) }, ok,
			[]string{static, times, staticP, committed, attempts, operations}},
		{"both picked", func() error { return c.create(service("a", "", 0)) }, ok,
			[]string{dynamic, times, dynamicP, committed, attempts, operations}},
		{"a label", func() error { return c.patch("b", `{"metadata":{"labels":{"a":"b"}}}`) }, ok, []string{committed, attempts, operations}},
		{"a name that exists, with values that are taken", func() error { return c.create(service("a", "10.96.0.3", 20002)) },
			apierrors.IsAlreadyExists, []string{objConflict, attempts, operations}},
		{"a name that exists, with a port outside", func() error { return c.create(service("a", "", 100)) }, apierrors.IsAlreadyExists, nil},
		{"a name that exists, with an address outside", func() error { return c.create(service("a", "10.97.0.3", -1)) },
			apierrors.IsAlreadyExists, []string{attempts}},
		{"an address that is taken", func() error { return c.create(service("c", "10.96.0.3", -1)) }, apierrors.IsInvalid,
			[]string{taken, conflict, attempts, operations}},
		{"an address outside", func() error { return c.create(service("c", "10.97.0.3", -1)) }, apierrors.IsInvalid, []string{outside, attempts}},
		{"a port that is taken", func() error { return c.create(service("c", "", 20002)) }, apierrors.IsInvalid,
			[]string{takenPort, conflict, attempts, operations}},
		{"a port outside", func() error { return c.create(service("c", "", 100)) }, apierrors.IsInvalid, []string{takenPort}},
		{"an update to a port that is taken", func() error { return c.patch("a", moveTo(20002)) }, apierrors.IsInvalid,
			[]string{takenPort, conflict, attempts, operations}},
		{"an update to a port outside", func() error { return c.patch("a", moveTo(100)) }, apierrors.IsInvalid, []string{takenPort}},
		{"the last port", func() error { return c.create(service("d", "", 0)) }, ok,
			[]string{dynamic, times, dynamicP, committed, attempts, operations}},
		{"no port left", func() error { return c.create(service("e", "", 0)) }, apierrors.IsInvalid, []string{fullPorts}},
		{"a name that exists when there is no port left", func() error { return c.create(service("a", "", 0)) }, apierrors.IsAlreadyExists, nil},
		{"an update when there is no port left", func() error {
			if err := c.create(service("e", "", -1)); err != nil {
				return err
			}
			return c.patch("e", `{"spec":{"type":"NodePort"}}`)
		}, apierrors.IsInvalid, []string{dynamic, times, fullPorts, committed, attempts, operations}},
		{"a value of its own", func() error { return c.patch("d", `{"spec":{"sessionAffinity":"ClientIP"}}`) }, ok,
			[]string{committed, attempts, operations}},
		{"a dry run", func() error { return c.create(service("f", "", -1), metav1.DryRunAll) }, ok, nil},
		{"a dry run with a value that is taken", func() error { return c.create(service("f", "10.96.0.3", -1), metav1.DryRunAll) },
			apierrors.IsInvalid, nil},
		{"a dry run with a port outside", func() error { return c.create(service("f", "", 100), metav1.DryRunAll) }, apierrors.IsInvalid, nil},
		{"a dry run when there is no port left", func() error { return c.create(service("f", "", 0), metav1.DryRunAll) },
			apierrors.IsInvalid, nil},
		{"a dry run of an update", func() error { return c.patch("a", moveTo(20002), metav1.DryRunAll) }, apierrors.IsInvalid, nil},
		{"a dry run of a delete", func() error {
			return c.services.Delete(c.Context(), "a", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		}, ok, nil},
		{"the last two addresses and one too many", func() error {
			for _, name := range []string{"g", "h"} {
				if err := c.create(service(name, "", -1)); err != nil {
					return err
				}
			}
			return c.create(service("i", "", -1))
		}, apierrors.IsInvalid, []string{dynamic, times, committed, attempts, operations, dynamic, times, committed, attempts, operations, full}},
		{"a delete", func() error { return c.services.Delete(c.Context(), "a", metav1.DeleteOptions{}) }, ok,
			[]string{committed, attempts, operations}},
	}
}
