package allocation

import (
	"net/netip"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// TestUses picks no value that a Service uses without a claim, until nobody uses it.
func TestUses(t *testing.T) {
	value := LoadBalancerAddress(netip.MustParseAddr("192.0.2.1"))
	index := New(time.Now)
	block := Block{Text: "192.0.2.1", Span: space.Span{First: value.Number, Last: value.Number}}
	index.SetRange(value.Class, Range{Name: "public", Revision: 1, Usable: true, Blocks: []Block{block}})
	use := func(uid types.UID, values ...Value) {
		index.SetUses(&Share{LoadBalancerIPHolder: v1.LoadBalancerIPHolder{Namespace: "a", Name: string(uid), UID: uid}}, values)
	}
	expect := func(when string, free bool) {
		t.Helper()
		picked, err := index.Pick(value.Class, Requester{})
		if (err == nil) != free {
			t.Errorf("%s: free: %v, %v", when, err == nil, err)
		}
		if err == nil {
			index.Drop(picked)
		}
	}
	claimedBy := func(uid types.UID, revision int64) Claim {
		return Claim{Holder: v1.ParentReference{UID: uid}, Revision: revision}
	}
	expect("at first", true)
	use("one", value)
	use("two", value)
	expect("used by two", false)
	if objection := index.ObjectionOfUsers(value, &Share{}, false); objection == nil || objection.Holder.Name != "one" {
		t.Errorf("another Service: %+v", objection)
	}
	own := &Share{LoadBalancerIPHolder: v1.LoadBalancerIPHolder{UID: "two"}}
	if objection := index.ObjectionOfUsers(value, own, false); objection != nil {
		t.Errorf("one of the users: %+v", objection)
	}
	index.Observe(value, claimedBy("two", 5))
	use("two", value)
	index.Released(value, 6)
	expect("released by one of two", false)
	use("one")
	expect("used by nobody", true)
	if users := index.Users(); len(users) > 0 || index.IsUsed(value) {
		t.Errorf("the users are %v", users)
	}
	// A pick that is in progress when the use is learned is free when both have ended.
	picked, err := index.Pick(value.Class, Requester{})
	if err != nil {
		t.Fatal(err)
	}
	use("three", value)
	index.Drop(picked)
	expect("dropped while used", false)
	use("three")
	expect("at last", true)
	// The claim ends the use, whichever of the two is learned first.
	use("four", value)
	index.Observe(value, claimedBy("four", 8))
	index.Absent(value, 9)
	expect("claimed and released", true)
}
