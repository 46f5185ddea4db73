package failover

import (
	"fmt"
	"regexp"
	"strconv"
)

// level is what a server takes while it has nothing to do.
type level struct {
	// heap is in bytes, right after a garbage collection.
	heap float64
	// goroutines and files are how many there are; connections are files.
	goroutines, files float64
}

// What a server may take more of than after it has warmed up.
const (
	heapSlack      = 3 << 20
	goroutineSlack = 25
	fileSlack      = 10
)

// leaks says in what a level is above an earlier one by more than chance.
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

// figure finds a number by what stands before it, at the beginning of a line.
func figure(text, name string) (float64, error) {
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `\s*(\S+)$`).FindStringSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("there is no %q", name)
	}
	return strconv.ParseFloat(found[1], 64)
}
