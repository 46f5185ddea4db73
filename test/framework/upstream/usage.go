package upstream

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// Usage is what a server has used of the machine.
type Usage struct {
	// CPU is the time on CPUs since the start, in user and in kernel mode.
	CPU time.Duration
	// Resident is the resident memory in bytes.
	Resident int64
	// Mapped is the part of it that is pages of files, such as an etcd's database. The
	// kernel takes them back when it needs them.
	Mapped int64
}

func (u Usage) plus(other Usage) Usage {
	return Usage{CPU: u.CPU + other.CPU, Resident: u.Resident + other.Resident, Mapped: u.Mapped + other.Mapped}
}

// Usage returns what the API server has used, and the same together with its etcd.
func (s *Server) Usage() (api, all Usage, err error) {
	if api, err = s.api.Usage(); err != nil || s.etcd == nil {
		return api, api, err
	}
	etcd, err := s.etcd.Usage()
	return api, api.plus(etcd), err
}

// Usage returns what the process has used.
func (p *Process) Usage() (Usage, error) {
	dir := "/proc/" + strconv.Itoa(p.cmd.Process.Pid)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return p.usageWithoutProc()
	}
	cpu, err := cpuTime(dir)
	if err != nil {
		return Usage{}, fmt.Errorf("the CPU time of %s: %w", p.name, err)
	}
	usage := Usage{CPU: cpu, Resident: kilobytes(status, "VmRSS:"), Mapped: kilobytes(status, "RssFile:")}
	if usage.Resident == 0 {
		return Usage{}, fmt.Errorf("the memory of %s can't be read", p.name)
	}
	return usage, nil
}

// cpuTime adds up the CPU times of a process's threads, which are in nanoseconds. That of
// the process is in hundredths of a second, too coarse for a few requests. The programs
// here do not end threads.
func cpuTime(dir string) (total time.Duration, err error) {
	threads, err := filepath.Glob(dir + "/task/*/schedstat")
	if err != nil {
		return 0, err
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			return 0, err
		}
		running, _, _ := bytes.Cut(text, []byte(" "))
		n, err := strconv.ParseInt(string(running), 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(n)
	}
	return total, nil
}

func kilobytes(status []byte, field string) int64 {
	_, after, _ := bytes.Cut(status, []byte("\n"+field))
	text, _, _ := bytes.Cut(after, []byte("kB"))
	n, _ := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	return n << 10
}

// usageWithoutProc asks ps for the memory. Its CPU times are in whole seconds on some
// systems, so they are left out.
func (p *Process) usageWithoutProc() (Usage, error) {
	text, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(p.cmd.Process.Pid)).Output()
	if err != nil {
		return Usage{}, fmt.Errorf("the memory of %s can't be read: %w", p.name, err)
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	return Usage{Resident: n << 10}, err
}
