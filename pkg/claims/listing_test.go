package claims

import (
	"errors"
	"slices"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

const webListing = "/reservedfor/default/web"

func TestListingChange(t *testing.T) {
	for name, test := range map[string]struct {
		stored  string
		remove  []allocation.Value
		add     []allocation.Value
		put     string
		deleted bool
	}{
		"no listing": {},
		"the first":  {add: []allocation.Value{port(30080)}, put: "nodeports/30080\n"},
		"another": {
			stored: "nodeports/30080\n", add: []allocation.Value{address("10.0.0.5")}, put: "nodeports/30080\nipaddresses/10.0.0.5\n",
		},
		"listed already":     {stored: "nodeports/30080\n", add: []allocation.Value{port(30080)}},
		"one of two":         {stored: "nodeports/30080\nnodeports/30081\n", remove: []allocation.Value{port(30080)}, put: "nodeports/30081\n"},
		"the last":           {stored: "nodeports/30080\n", remove: []allocation.Value{port(30080)}, deleted: true},
		"of a later release": {stored: "others/1\nnodeports/30080\n", remove: []allocation.Value{port(30080)}, put: "others/1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			listed, revision := parseListing("/l", nil), int64(0)
			if test.stored != "" {
				listed, revision = parseListing("/l", &mvccpb.KeyValue{Value: []byte(test.stored), ModRevision: 7}), 7
			}
			plan := &txn.Plan{}
			listed.change(plan, func(value allocation.Value) bool { return slices.Contains(test.remove, value) }, test.add...)
			if len(plan.Guards) != 1 || plan.Guards[0] != (txn.Guard{Key: "/l", Revision: revision}) {
				t.Errorf("guards %v", plan.Guards)
			}
			put := ""
			if len(plan.Puts) > 0 {
				put = string(plan.Puts[0].Value)
			}
			if put != test.put || (len(plan.Deletes) == 1) != test.deleted {
				t.Errorf("put %q, deletes %v", put, plan.Deletes)
			}
		})
	}
}

// A write with picks relies on there being no listing. A reservation that admission did not
// know makes the write start again.
func TestPicksRelyOnListing(t *testing.T) {
	keys := map[string]*mvccpb.KeyValue{}
	l := newLedger(t, keys)
	addPorts(l.Index, "r", 1, "30000-30099")
	_, picks := requeststate.NewPicks(t.Context(), l.Index)
	defer picks.End()
	value, err := picks.Pick("port/0", allocation.Port, allocation.Requester{})
	if err != nil {
		t.Fatal(err)
	}
	owner := newService(nil)
	// Admission looks for reservations before it picks.
	l.Reserved(Requester{svc: owner}, allocation.Port, picks)
	c := change{owner: owner, after: holdings{value: serving("TCP")}, picks: picks}
	guarded := func(plan *txn.Plan) bool {
		return slices.ContainsFunc(plan.Guards, func(g txn.Guard) bool { return g.Key == webListing })
	}
	plan := &txn.Plan{}
	if _, err := l.plan(t.Context(), plan, c); err != nil || guarded(plan) {
		t.Errorf("nothing reserved: guards %v, error %v", plan.Guards, err)
	}
	owner.Annotations = map[string]string{v1.RetainAnnotation: "true"}
	a, err := l.plan(t.Context(), plan, c)
	if err != nil || !guarded(plan) || a.listing != webListing {
		t.Errorf("retained: guards %v, error %v", plan.Guards, err)
	}
	c.picks = nil
	if _, err := l.plan(t.Context(), plan, c); err != nil || guarded(plan) {
		t.Errorf("named: guards %v, error %v", plan.Guards, err)
	}

	c.picks, c.relist = picks, true
	reserved := port(30080)
	if value == reserved {
		reserved = port(30082)
	}
	claim := reservedPort("web", nil)
	claim.Name = reserved.String()
	storeClaim(t, l, reserved, claim, 5, false)
	text := "nodeports/" + reserved.String() + "\n"
	keys[webListing] = &mvccpb.KeyValue{Key: []byte(webListing), Value: []byte(text + "nodeports/30081\n"), ModRevision: 6}
	for range 2 {
		_, err = l.plan(t.Context(), plan, c)
		if again, ok := errors.AsType[*retryError](err); !ok || !again.reserved || len(again.lost) != 1 {
			t.Fatalf("listed and not known to admission: %v", err)
		}
	}
	// Admission knows it, and it is not what the Service needs. 30081 is not reserved anymore.
	l.Reserved(Requester{svc: owner}, allocation.Port, picks)
	if _, err = l.plan(t.Context(), plan, c); err != nil || len(plan.Puts) != 2 || string(plan.Puts[1].Value) != text {
		t.Errorf("listed and known: puts %v, error %v", plan.Puts, err)
	}
}
