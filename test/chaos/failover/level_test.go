package failover

import "testing"

func TestLeaks(t *testing.T) {
	before := level{heap: 50 << 20, goroutines: 500, files: 30}
	for name, test := range map[string]struct {
		change func(*level)
		leaks  int
	}{
		"the same":         {func(*level) {}, 0},
		"less":             {func(l *level) { l.heap, l.goroutines, l.files = 1, 1, 1 }, 0},
		"a bit more":       {func(l *level) { l.heap, l.goroutines, l.files = l.heap+3<<20, l.goroutines+150, l.files+10 }, 0},
		"heap":             {func(l *level) { l.heap += 4 << 20 }, 1},
		"goroutines":       {func(l *level) { l.goroutines += 151 }, 1},
		"files":            {func(l *level) { l.files += 11 }, 1},
		"everything, lots": {func(l *level) { l.heap, l.goroutines, l.files = 1<<30, 1e4, 1e3 }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			now := before
			test.change(&now)
			if leaks := now.leaks(before); len(leaks) != test.leaks {
				t.Errorf("found %q", leaks)
			}
		})
	}
}

func TestHighest(t *testing.T) {
	want := level{heap: 5, goroutines: 6, files: 7}
	if got := highest([]level{{5, 1, 7}, {4, 6, 2}, {1, 1, 1}}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFigure(t *testing.T) {
	text := "# HELP go_goroutines Number\ngo_goroutines 12\nprocess_open_fds 1e+01\n# HeapAlloc = 4096\n"
	for name, want := range map[string]float64{"go_goroutines": 12, "process_open_fds": 10, "# HeapAlloc =": 4096} {
		if got, err := figure(text, name); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := figure(text, "go_go"); err == nil {
		t.Error("a part of a name was found")
	}
}
