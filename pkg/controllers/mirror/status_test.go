package mirror

import (
	"testing"
	"time"
)

// TestLag follows changes until they are dealt with.
func TestLag(t *testing.T) {
	began := time.Now()
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	status := NewStatus()
	expect := func(what string, want int) {
		t.Helper()
		if got := status.Lag(at(10)); got != time.Duration(want)*time.Second {
			t.Errorf("%s: the lag is %v, want %d s", what, got, want)
		}
	}
	expect("nothing has changed", 0)
	status.changed("services/a/b", at(1))
	expect("another process leads", 0)
	status.started()
	status.changed("services/a/b", at(3))
	status.changed("services/a/c", at(4))
	expect("two changes of one object, and one of another", 9)
	done := status.begin("services/a/b")
	expect("a worker deals with it", 9)
	status.changed("services/a/b", at(5))
	done(false)
	expect("it failed, and there was another change", 9)
	done = status.begin("services/a/b")
	status.changed("services/a/b", at(7))
	done(true)
	expect("it succeeded, and the other object waits", 6)
	status.begin("services/a/c")(true)
	expect("the change of the meantime waits", 3)
	status.begin("services/a/none")(false)
	status.reset()
	status.started()
	expect("a new term", 0)
}
