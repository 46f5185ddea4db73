package failover

import (
	"fmt"
	"regexp"
	"strconv"
)

// level is what an idle server uses.
type level struct {
	// heap is in bytes, right after a garbage collection.
	heap float64
	// goroutines and files are counts; connections count as files.
	goroutines, files float64
}

// What a server may use in addition to its use after the warm-up. The replica
// that runs the controllers has some 50 more goroutines once all their watches
// are open. A soak makes thousands of requests and hundreds of watches.
const (
	heapSlack      = 3 << 20
	goroutineSlack = 150
	fileSlack      = 10
)

// highest returns the highest use of several servers. Any of them may come to
// run the controllers.
func highest(levels []level) (most level) {
	for _, l := range levels {
		most.heap = max(most.heap, l.heap)
		most.goroutines = max(most.goroutines, l.goroutines)
		most.files = max(most.files, l.files)
	}
	return most
}

// leaks names what a server uses more of than before, beyond the slack.
func (l level) leaks(before level) (leaks []string) {
	for _, figure := range []struct {
		name               string
		now, before, limit float64
	}{
		{"bytes of heap", l.heap, before.heap, before.heap + heapSlack},
		{"goroutines", l.goroutines, before.goroutines, before.goroutines + goroutineSlack},
		{"open files", l.files, before.files, before.files + fileSlack},
	} {
		if figure.now > figure.limit {
			leaks = append(leaks, fmt.Sprintf("%.0f %s, after %.0f", figure.now, figure.name, figure.before))
		}
	}
	return leaks
}

func (l level) String() string {
	return fmt.Sprintf("%.1f MiB of heap, %.0f goroutines, %.0f files", l.heap/(1<<20), l.goroutines, l.files)
}

// figure returns the number after a name at the beginning of a line.
func figure(text, name string) (float64, error) {
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `\s*(\S+)$`).FindStringSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("there is no %q", name)
	}
	return strconv.ParseFloat(found[1], 64)
}
