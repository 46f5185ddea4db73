package allocation

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

var web = types.NamespacedName{Namespace: "default", Name: "web"}

func reservedFor(service types.NamespacedName, revision int64, terms Terms) Claim {
	return Claim{
		Holder:   v1.ParentReference{Resource: "services", Namespace: service.Namespace, Name: service.Name},
		Revision: revision, Terms: &terms,
	}
}

func TestMayTake(t *testing.T) {
	x, c := newIndex()
	soon := c.Now().Add(time.Minute)
	other := types.NamespacedName{Namespace: "other", Name: "web"}
	for name, test := range map[string]struct {
		claim            Claim
		now, afterMinute bool
	}{
		"held": {
			Claim{Holder: v1.ParentReference{Resource: "services", Namespace: "default", Name: "web", UID: "u"}}, false, false,
		},
		"for it":                  {reservedFor(web, 1, Terms{}), true, true},
		"for another":             {reservedFor(other, 1, Terms{}), false, false},
		"for another, for a time": {reservedFor(other, 1, Terms{Expires: soon}), false, true},
		"for it, for a time":      {reservedFor(web, 1, Terms{Expires: soon}), true, true},
		"for it, being deleted":   {reservedFor(web, 1, Terms{Deleting: true}), false, false},
		"for no Service":          {Claim{Holder: v1.ParentReference{Resource: "nodes", Name: "web"}, Terms: &Terms{}}, false, false},
		"for no Service, a time":  {Claim{Holder: v1.ParentReference{Resource: "nodes", Name: "web"}, Terms: &Terms{Expires: soon}}, false, true},
		"for another resource": {Claim{Holder: v1.ParentReference{
			Group: "example.com", Resource: "services", Namespace: "default", Name: "web",
		}, Terms: &Terms{}}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.claim.mayBeTaken(web, c.Now()); got != test.now {
				t.Errorf("now: %t", got)
			}
			if got := test.claim.mayBeTaken(web, soon); got != test.afterMinute {
				t.Errorf("in a minute: %t", got)
			}
		})
	}
	x.Observe(NodePort(1), reservedFor(web, 1, Terms{Expires: soon}))
	if n := len(x.Reserved(Port, web)); n != 1 {
		t.Errorf("%d reserved", n)
	}
	if expired := x.Expired(Port); len(expired) > 0 {
		t.Errorf("expired early: %v", expired)
	}
	c.pass(time.Minute)
	if n := len(x.Reserved(Port, web)); n != 0 {
		t.Errorf("%d reserved after the end", n)
	}
	if expired := x.Expired(Port); len(expired) != 1 || expired[NodePort(1)] != 1 {
		t.Errorf("expired: %v", expired)
	}
	x.Observe(NodePort(1), heldBy("u", 2))
	if expired := x.Expired(Port); len(expired) > 0 {
		t.Errorf("expired while held: %v", expired)
	}
}
