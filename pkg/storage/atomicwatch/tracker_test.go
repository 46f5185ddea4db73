package atomicwatch

import (
	"fmt"
	"testing"
)

func TestMayBeBatch(t *testing.T) {
	t.Parallel()
	state := &tracker{}
	state.filled(3)
	check := func(batch, single string) {
		t.Helper()
		var gotBatch, gotSingle string
		for revision := range uint64(10) {
			if state.mayBeBatch(revision) {
				gotBatch += fmt.Sprint(revision)
			}
			if state.isSingle(revision) {
				gotSingle += fmt.Sprint(revision)
			}
		}
		if gotBatch != batch || gotSingle != single {
			t.Errorf("maybe batches %s, want %s; certainly none %s, want %s", gotBatch, batch, gotSingle, single)
		}
	}
	check("0123", "")
	state.delivered(4, false)
	check("0123", "4")
	state.apply(6, func() { state.delivered(6, false); state.delivered(6, false) })
	check("01236", "45")
	state.delivered(8, true)
	check("01236", "4578")
	for revision, want := range map[uint64]bool{2: false, 3: true, 4: true, 5: false} {
		if got := state.completeSince(revision); got != want {
			t.Errorf("completeSince(%d) is %v", revision, got)
		}
	}
	for range minCacheEvents {
		state.delivered(9, false)
	}
	if state.completeSince(3) {
		t.Error("the cache may have dropped events")
	}
	state.filled(9)
	check("0123456789", "")
	for revision := range uint64(maxRevisions) {
		state.apply(10+2*revision, func() {})
	}
	state.delivered(10+2*maxRevisions, true)
	for revision, want := range map[uint64]bool{11: true, 9 + maxRevisions: false, 10 + maxRevisions: true, 8 + 2*maxRevisions: true,
		9 + 2*maxRevisions: false} {
		if got := state.mayBeBatch(revision); got != want {
			t.Errorf("mayBeBatch(%d) is %v", revision, got)
		}
	}
}
