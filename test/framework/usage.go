package framework

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Usage is what a process has used of its machine.
type Usage struct {
	// CPU is the time that it has been computing for.
	CPU time.Duration
	// Resident is the memory that it has now, and Peak the most that it has had,
	// in bytes.
	Resident, Peak int64
	// Logged is how many bytes it has written to its standard error.
	Logged int64
}

// Usage measures the server. It works because the server has a process of its own.
func (p *Process) Usage(t testing.TB) Usage {
	t.Helper()
	// See proc(5): the name in parentheses may hold spaces, and the clock ticks a
	// hundred times a second on all architectures of Linux.
	const user, system, tick = 11, 12, 10 * time.Millisecond
	_, fields, _ := strings.Cut(p.proc(t, "stat"), ") ")
	usage := Usage{Logged: p.output.total()}
	for _, i := range []int{user, system} {
		ticks, err := strconv.ParseInt(strings.Fields(fields)[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		usage.CPU += time.Duration(ticks) * tick
	}
	for line := range strings.Lines(p.proc(t, "status")) {
		name, value, _ := strings.Cut(line, ":")
		kibibytes, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			usage.Resident = kibibytes << 10
		case "VmHWM":
			usage.Peak = kibibytes << 10
		}
	}
	return usage
}

func (p *Process) proc(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
