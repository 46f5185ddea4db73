package memory

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestPercentFor(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{
		0: 400, 10 * mib: 400, 32 * mib: 400, 64 * mib: 200, 100 * mib: 125, 128 * mib: 100, 170 * mib: 75, 1 << 40: 75,
	} {
		if got := percentFor(live); got != want {
			t.Errorf("%d MiB: %d %%, want %d %%", live/mib, got, want)
		}
	}
}

func TestMayReturn(t *testing.T) {
	t.Parallel()
	const first, seconds = int(startTime / time.Second), int(quietTime / time.Second)
	for name, test := range map[string]struct {
		live, held, allocated uint64
		want                  bool
	}{
		"much garbage":              {live: 40 * mib, held: 200 * mib, want: true},
		"little garbage":            {live: 40 * mib, held: 60 * mib},
		"little for a large heap":   {live: 800 * mib, held: 900 * mib},
		"much for a large heap":     {live: 800 * mib, held: 1100 * mib, want: true},
		"a busy process":            {live: 40 * mib, held: 200 * mib, allocated: quietRate + 1},
		"a process with few probes": {live: 40 * mib, held: 200 * mib, allocated: quietRate / 2, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeeper()
			s := sample{live: test.live, held: test.held}
			for second := range first + seconds {
				s.allocated += test.allocated
				if got, want := k.mayReturn(s), test.want && (second == first-1 || second == first+seconds-1); got != want {
					t.Fatalf("after %d seconds: %v, want %v", second+1, got, want)
				}
			}
			// What it could not return it must not collect every second.
			if k.mayReturn(s) {
				t.Error("again a second later")
			}
		})
	}
}

// TestRead compares the metrics with what the process does. It collects, so it does not
// run in parallel with others.
func TestRead(t *testing.T) {
	k := newKeeper()
	debug.FreeOSMemory()
	before := k.read()
	garbage := make([]byte, 64*mib)
	for n := range garbage {
		garbage[n] = 1
	}
	runtime.GC()
	during := k.read()
	if during.live < before.live+60*mib || during.held < before.held+60*mib || during.allocated < before.allocated+60*mib {
		t.Errorf("with 64 MiB more: %+v after %+v", during, before)
	}
	runtime.KeepAlive(garbage)
	debug.FreeOSMemory()
	if after := k.read(); after.live > before.live+4*mib || after.held > before.held+30*mib {
		t.Errorf("after it was returned: %+v, before there was %+v", after, before)
	}
}
