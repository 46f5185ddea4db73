package etcd

import (
	"testing"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"k8s.io/utils/ptr"
)

// TestEarlyElection holds an election after etcd has applied and compacted the log,
// and before raft knows that. A kill soak found that on a busy machine.
func TestEarlyElection(t *testing.T) {
	t.Parallel()
	const entries = 258
	log := raft.NewMemoryStorage()
	if err := log.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		ConfState: &raftpb.ConfState{Voters: []uint64{1}}, Index: ptr.To(uint64(1)), Term: ptr.To(uint64(1)),
	}}); err != nil {
		t.Fatal(err)
	}
	for index := uint64(2); index <= entries; index++ {
		if err := log.Append([]*raftpb.Entry{{Term: ptr.To(uint64(1)), Index: ptr.To(index)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.SetHardState(&raftpb.HardState{Term: ptr.To(uint64(1)), Commit: ptr.To(uint64(entries))}); err != nil {
		t.Fatal(err)
	}
	fatal := newFatalHandler("/data")
	node, err := raft.NewRawNode(&raft.Config{
		ID: 1, ElectionTick: 10, HeartbeatTick: 1, Storage: log, MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 1,
		Logger: etcdserver.NewRaftLoggerZap(fatal.logger()),
	})
	if err != nil {
		t.Fatal(err)
	}
	ready := node.Ready()
	if len(ready.CommittedEntries) != entries-1 {
		t.Fatalf("%d entries to apply", len(ready.CommittedEntries))
	}
	if err := log.Compact(entries - 100); err != nil {
		t.Fatal(err)
	}
	elected := make(chan error, 1)
	go func() {
		// raft's goroutine would end here.
		defer close(elected)
		elected <- node.Campaign()
	}()
	if err, returned := <-elected; err != nil || !returned {
		select {
		case err = <-fatal.failed:
		default:
		}
		t.Fatalf("the election failed: %v", err)
	}
	node.Advance(ready)
	if state := node.BasicStatus().RaftState; state == raft.StateFollower {
		t.Errorf("raft is a %v after an election", state)
	}
}
