package quota

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const mib = 1 << 20

// fake is a store whose size and clock the test sets.
type fake struct {
	usage Usage
	now   time.Time
}

func newFake(inUse int64) *fake {
	return &fake{usage: Usage{Size: inUse, InUse: inUse}, now: time.Unix(1000, 0)}
}

func (f *fake) gate(quota int64) *Gate {
	return NewGate(quota, func() Usage { return f.usage }, func() time.Time { return f.now })
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		quota, inUse int64
		write        Write
		full         bool
	}{
		"empty":                          {100 * mib, mib, Write{Bytes: mib}, false},
		"up to the reserve":              {100 * mib, 89 * mib, Write{Bytes: mib}, false},
		"into the reserve":               {100 * mib, 89 * mib, Write{Bytes: mib + 1}, true},
		"a replacement in the reserve":   {100 * mib, 95 * mib, Write{Bytes: 5 * mib, Replaces: true}, false},
		"a replacement at the quota":     {100 * mib, 95 * mib, Write{Bytes: 15 * mib, Replaces: true}, false},
		"a replacement beyond the quota": {100 * mib, 95 * mib, Write{Bytes: 15*mib + 1, Replaces: true}, true},
		"more than there is":             {100 * mib, mib, Write{Bytes: 200 * mib}, true},
		"the smallest reserve":           {MinBytes, 12*mib - 1, Write{Bytes: 2}, true},
		"the largest reserve":            {MaxBytes, MaxBytes - 512*mib, Write{Bytes: -1}, false},
		// The store exceeded its quota when it was opened; finalizers must be removable.
		"a replacement in one that is too large": {16 * mib, 100 * mib, Write{Bytes: mib, Replaces: true}, false},
		"growth of one that is too large":        {16 * mib, 100 * mib, Write{Bytes: 1}, true},
		"a dry run":                              {100 * mib, 95 * mib, Write{Bytes: 1, DryRun: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newFake(test.inUse).gate(test.quota).Admit(test.write)
			var full *ExceededError
			if errors.As(err, &full) != test.full {
				t.Fatalf("got %v", err)
			}
			if full != nil && (full.InUse != test.inUse || full.Quota != test.quota ||
				!strings.Contains(err.Error(), "--embedded-etcd-quota-bytes")) {
				t.Errorf("got %+v: %v", full, err)
			}
		})
	}
}

// TestAdmitCountsWritesInFlight expects admitted writes to count before the store's
// size includes them.
func TestAdmitCountsWritesInFlight(t *testing.T) {
	t.Parallel()
	store := newFake(80 * mib)
	gate := store.gate(100 * mib)
	admitted := func() (n int) {
		for gate.Admit(Write{Bytes: mib}) == nil {
			n++
		}
		return n
	}
	if gate.Admit(Write{Bytes: 10 * mib, DryRun: true}) != nil {
		t.Error("a dry run that has room")
	}
	if n := admitted(); n != 10 {
		t.Errorf("%d MiB were admitted, there was room for 10", n)
	}
	// The commit may have come before the writes.
	store.usage.InUse += 4 * mib
	if n := admitted(); n != 0 {
		t.Errorf("%d MiB were admitted after a commit that may have missed the others", n)
	}
	store.usage.InUse += 1 * mib
	if n := admitted(); n != 5 {
		t.Errorf("%d MiB were admitted after the next commit, there was room for 5", n)
	}
	// None of the admitted writes was sent.
	store.now = store.now.Add(settleTime)
	if n := admitted(); n != 5 {
		t.Errorf("%d MiB were admitted when others had not been written, there was room for 5", n)
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	store := newFake(80 * mib)
	gate := store.gate(100 * mib)
	if err := gate.Full(); err != nil || !gate.NearlyFull() {
		t.Errorf("at 80%%: %v, nearly full: %t", err, gate.NearlyFull())
	}
	store.usage.InUse--
	if gate.NearlyFull() {
		t.Error("below 80% it is nearly full")
	}
	gate.Reject(Write{Bytes: 15 * mib, DryRun: true})
	if gate.Full() != nil || gate.Rejected() != 0 {
		t.Error("a dry run counts")
	}
	gate.Reject(Write{Bytes: 15 * mib})
	if gate.Full() == nil || gate.Rejected() != 1 {
		t.Error("after a rejection it is not full")
	}
	store.now = store.now.Add(fullTime + 1)
	if err := gate.Full(); err != nil {
		t.Errorf("a while after a rejection: %v", err)
	}
	store.usage.InUse = 90 * mib
	if gate.Full() == nil {
		t.Error("at 90% it is not full")
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", MinBytes: "16.0 MiB",
		DefaultBytes: "8.0 GiB", 5 << 50: "5120.0 TiB"} {
		if got := Text(bytes); got != want {
			t.Errorf("%d: %q, want %q", bytes, got, want)
		}
	}
}
