package requeststate

import (
	"testing"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

// A reserved value is like a pick, but the end of the request does not free it: another
// request may have picked it since.
func TestUseReserved(t *testing.T) {
	index, picks := picksFrom(t, "1-3")
	index.Observe(allocation.NodePort(1), heldBy("", 5))
	index.Observe(allocation.NodePort(2), heldBy("", 5))
	picked := pick(t, picks, "port/0")
	picks.UseReserved("port/0", allocation.NodePort(1))
	if picks.Picked(picked) || !picks.Picked(allocation.NodePort(1)) {
		t.Error("the slot has not changed")
	}
	picks.UseReserved("port/1", allocation.NodePort(1))
	if got := pick(t, picks, "port/0"); got != picked {
		t.Errorf("the slot that the reserved value has left has %s", got)
	}
	picks.UseReserved("port/2", allocation.NodePort(2))
	index.Absent(allocation.NodePort(1), 6)
	if other, err := index.Pick(allocation.Port, allocation.Requester{}); err != nil || other != allocation.NodePort(1) {
		t.Fatalf("got %v, error %v", other, err)
	}
	picks.Lose([]allocation.Value{allocation.NodePort(1)})
	if picks.Picked(allocation.NodePort(1)) {
		t.Error("the lost value is picked")
	}
	picks.End()
	// 1 is another request's, 2 is reserved.
	checkFree(t, index, 1)
}

func TestKnown(t *testing.T) {
	_, picks := picksFrom(t, "1-3")
	missed := func(what string, want bool) {
		t.Helper()
		if got := picks.Missed(allocation.NodePort(1)); got != want {
			t.Errorf("%s: missed: %t", what, got)
		}
	}
	missed("before admission", false)
	picks.SetKnown(allocation.IPv4, nil)
	missed("another class", false)
	picks.SetKnown(allocation.Port, nil)
	missed("none known", true)
	picks.SetKnown(allocation.Port, []allocation.Reservation{{Value: allocation.NodePort(1)}})
	missed("known", false)
	picks.SetKnown(allocation.Port, nil)
	missed("not known in the next attempt", true)
}
