package quota

import (
	"testing"
	"time"
)

// run simulates a number of seconds with a number of writes in each, and returns
// the tasks by second.
func run(store *fake, upkeep *Upkeep, revision *int64, seconds int, writes int64) map[int]Task {
	tasks := map[int]Task{}
	for second := range seconds {
		store.now = store.now.Add(time.Second)
		*revision += writes
		if task := upkeep.Next(*revision); task != (Task{}) {
			tasks[second+1] = task
		}
	}
	return tasks
}

func TestCompact(t *testing.T) {
	t.Parallel()
	store, revision := newFake(70*mib), int64(100)
	upkeep := NewUpkeep(store.gate(100*mib), revision)
	if tasks := run(store, upkeep, &revision, 300, 10); len(tasks) > 0 {
		t.Errorf("with room: %v", tasks)
	}

	store.usage.InUse = 85 * mib
	first := revision
	tasks := run(store, upkeep, &revision, 60, 10)
	if task := tasks[1]; task.Compact != first+10-600 {
		t.Errorf("nearly full, at revision %d: %v", first+10, tasks)
	}
	if task := tasks[31]; task.Compact != first+310-600 || len(tasks) != 2 {
		t.Errorf("nearly full, half a minute later: %v", tasks)
	}

	store.usage.InUse = 95 * mib
	first = revision
	tasks = run(store, upkeep, &revision, 11, 10)
	if len(tasks) != 3 || tasks[1].Compact != first+10-100 || tasks[6].Compact != first+60-100 || tasks[11].Compact != first+110-100 {
		t.Errorf("full, at revision %d: %v", first, tasks)
	}
	run(store, upkeep, &revision, 20, 0)
	if tasks := run(store, upkeep, &revision, 60, 0); len(tasks) > 0 {
		t.Errorf("full, and nothing is written: %v", tasks)
	}
}

// TestCompactAtStart opens a full store. Nobody watches it, so no history is kept.
func TestCompactAtStart(t *testing.T) {
	t.Parallel()
	store, revision := newFake(95*mib), int64(100)
	tasks := run(store, NewUpkeep(store.gate(100*mib), revision), &revision, 1, 0)
	if tasks[1].Compact != 100 {
		t.Errorf("got %v", tasks)
	}
}

func TestDefragment(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for name, test := range map[string]struct {
		quota  int64
		usage  Usage
		writes int64
		want   bool
	}{
		"nothing free":                       {8 * gib, Usage{gib, gib}, 0, false},
		"a little free":                      {8 * gib, Usage{20 * mib, 5 * mib}, 0, false},
		"small, half of it free":             {8 * gib, Usage{40 * mib, 20 * mib}, 0, true},
		"small, half of it free, and busy":   {8 * gib, Usage{40 * mib, 20 * mib}, 1000, true},
		"small, a third free":                {8 * gib, Usage{60 * mib, 40 * mib}, 0, false},
		"large, half of it free":             {8 * gib, Usage{2 * gib, gib}, 0, true},
		"large, half of it free, and busy":   {8 * gib, Usage{2 * gib, gib}, 1000, false},
		"large, half of it free, and leases": {8 * gib, Usage{2 * gib, gib}, 2, true},
		"very large, half of it free":        {8 * gib, Usage{4 * gib, gib + 1}, 0, false},
		"above the quota":                    {gib, Usage{gib + mib, gib - 200*mib}, 1000, true},
		"above the quota, little free":       {gib, Usage{gib + mib, gib - 50*mib}, 0, false},
		"above the quota, nothing free":      {gib, Usage{gib + mib, gib}, 1000, false},
		"very large, above the quota":        {8 * gib, Usage{8*gib + mib, 6 * gib}, 2, true},
		"very large, above it, and busy":     {8 * gib, Usage{8*gib + mib, 6 * gib}, 1000, false},
		"small quota":                        {16 * mib, Usage{10 * mib, mib}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, revision := &fake{usage: test.usage, now: time.Unix(1000, 0)}, int64(100)
			upkeep := NewUpkeep(store.gate(test.quota), revision)
			tasks, done := run(store, upkeep, &revision, 15, test.writes), 0
			for _, task := range tasks {
				if task.Defragment {
					done++
				}
			}
			if want := map[bool]int{true: 1}[test.want]; done != want {
				t.Errorf("%d defragmentations in 15 s, want %d: %v", done, want, tasks)
			}
		})
	}
}
