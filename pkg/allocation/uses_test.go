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
	share := func(name string) *Share {
		return &Share{LoadBalancerIPHolder: v1.LoadBalancerIPHolder{Namespace: "a", Name: name, UID: types.UID(name)}}
	}
	use := func(name string, values ...Value) { index.SetUses(share(name), values) }
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
	expect("at first", true)
	use("one", value)
	use("two", value)
	expect("used by two", false)
	if objection := index.ObjectionOfUsers(value, share("three"), false); objection == nil || objection.Holder.Name != "one" {
		t.Errorf("another Service: %+v", objection)
	}
	if objection := index.ObjectionOfUsers(value, share("two"), false); objection != nil {
		t.Errorf("one of the users: %+v", objection)
	}
	index.Observe(value, Claim{Holder: v1.ParentReference{UID: "two"}, Revision: 5})
	use("two")
	index.Released(value, 6)
	expect("released by one of two", false)
	use("one")
	expect("used by nobody", true)
	if users := index.AllUsers(); len(users) > 0 || len(index.Users(value)) > 0 {
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
	// A use ends while there is a claim.
	use("four", value)
	index.Observe(value, Claim{Holder: v1.ParentReference{UID: "four"}, Revision: 8})
	use("four")
	expect("claimed", false)
	index.Absent(value, 9)
	expect("claimed and released", true)
}

// TestShareOfUsedValue picks a value to share only if those that use it do not object.
func TestShareOfUsedValue(t *testing.T) {
	value := LoadBalancerAddress(netip.MustParseAddr("192.0.2.1"))
	index := New(time.Now)
	block := Block{Text: "192.0.2.1", Span: space.Span{First: value.Number, Last: value.Number}}
	index.SetRange(value.Class, Range{Name: "public", Revision: 1, Usable: true, Blocks: []Block{block}})
	index.Observe(value, sharedBy("k", 1, sharer("a", "web", 80)))
	who := Requester{Share: &Share{LoadBalancerIPHolder: sharer("a", "new", 90), Key: "k"}}
	if _, ok := index.Shareable(value.Class, who); !ok {
		t.Error("it can't be shared")
	}
	index.SetUses(&Share{LoadBalancerIPHolder: sharer("b", "external", 443), Key: "k"}, []Value{value})
	if _, ok := index.Shareable(value.Class, who); ok {
		t.Error("it can be shared with a Service of another namespace")
	}
}
