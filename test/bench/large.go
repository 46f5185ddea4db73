package main

import (
	"context"
	"fmt"
	"log"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	emptyName = "empty"
	largeName = "large"
)

// Large is Portolan with many Services in place.
type Large struct {
	Services int `json:"services"`
	// Filled is how many Services a second were created until nine tenths were in place,
	// and after that.
	Filled [2]float64 `json:"filledPerSecond"`
	// Requests are beside an empty Portolan.
	Requests []*Cell `json:"requests"`
	// Lists and Verify are the seconds for a list of all Services in pages, and for
	// portolan verify. Ready is the time from start to ready.
	Lists  float64 `json:"listSeconds"`
	Verify float64 `json:"verifySeconds"`
	Ready  float64 `json:"readySeconds"`
	// Database is the size of the database file in bytes, and InUse what is in use of it.
	Database int64 `json:"databaseBytes"`
	InUse    int64 `json:"inUseBytes"`
	// Memory is in the order in which it was read.
	Memory []LargeMemory `json:"memory"`
}

// LargeMemory is what the server had in memory at one time.
type LargeMemory struct {
	When string `json:"when"`
	Resident
}

// measureLarge compares Portolan with many Services with an empty Portolan, and measures
// what takes longer the more there are.
func (b *bench) measureLarge(ctx context.Context) error {
	if b.large == 0 {
		return nil
	}
	// They would share the machine with what is measured now.
	b.stopServers()
	var servers []*apiServer
	defer func() {
		for _, s := range servers {
			s.server.Stop()
		}
	}()
	for _, name := range []string{emptyName, largeName} {
		s, err := b.launch(ctx, name)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	empty, full := servers[0], servers[1]
	targets := []target{empty, full}
	if err := warm(ctx, targets); err != nil {
		return err
	}
	l := &Large{Services: b.large}
	b.report.Large = l
	if err := l.fill(ctx, full, b.settle, b.rest); err != nil {
		return err
	}
	err := b.measureRequests(ctx, b.large, targets, func(cell *Cell) {
		l.Requests = append(l.Requests, cell)
		log.Printf("%d Services, %d clients: %s", b.large, cell.Clients, cell)
	})
	if err != nil {
		return err
	}
	// Only the rates are compared with it.
	empty.server.Stop()
	for _, step := range []func(context.Context, *apiServer) error{l.list, l.readSizes, b.verifyAndRestart} {
		if err := step(ctx, full); err != nil {
			return err
		}
	}
	return l.deleteAll(ctx, full, b.rest)
}

func (l *Large) fill(ctx context.Context, s *apiServer, settle, rest time.Duration) error {
	log.Printf("filling a portolan of its own up to %d Services", l.Services)
	from := 0
	for part, to := range []int{l.Services * 9 / 10, l.Services} {
		started := time.Now()
		if err := fill(ctx, s, from, to); err != nil {
			return err
		}
		l.Filled[part] = float64(to-from) / time.Since(started).Seconds()
		from = to
	}
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	if err := l.readMemory(s, fmt.Sprintf("%v after the last", settle)); err != nil {
		return err
	}
	if err := sleep(ctx, rest); err != nil {
		return err
	}
	return l.readMemory(s, fmt.Sprintf("%v later", rest))
}

func (l *Large) readMemory(s *apiServer, when string) error {
	resident, err := residentOf(s.server)
	l.Memory = append(l.Memory, LargeMemory{when, resident})
	log.Printf("memory, %s: %s", when, resident)
	return err
}

// list lists all Services in pages.
func (l *Large) list(ctx context.Context, s *apiServer) error {
	started := time.Now()
	if _, err := inPages.run(ctx, s); err != nil {
		return fmt.Errorf("a list in pages: %w", err)
	}
	l.Lists = time.Since(started).Seconds()
	log.Printf("all %d Services in pages of %d: %.1f s", l.Services, pageSize, l.Lists)
	return nil
}

// readSizes reads the size of the database from the server's metrics.
func (l *Large) readSizes(ctx context.Context, s *apiServer) error {
	metrics, err := s.request(0, "GET", "/metrics").SetHeader("Accept", "text/plain").Do(ctx).Raw()
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(metrics)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		switch name {
		case "etcd_mvcc_db_total_size_in_bytes":
			l.Database = int64(value)
		case "etcd_mvcc_db_total_size_in_use_in_bytes":
			l.InUse = int64(value)
		}
	}
	log.Printf("the database has %s, %s in use", megabytes(l.Database), megabytes(l.InUse))
	return nil
}

// verifyAndRestart kills the server, runs portolan verify on what it leaves, and starts it
// again.
func (b *bench) verifyAndRestart(ctx context.Context, s *apiServer) error {
	s.server.StopAPI()
	started := time.Now()
	out, err := exec.CommandContext(ctx, b.programs.Portolan, "verify", "--data-dir="+s.server.Dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("portolan verify: %w\n%s", err, out)
	}
	l := b.report.Large
	l.Verify = time.Since(started).Seconds()
	if err := s.server.StartAPI(ctx); err != nil {
		return err
	}
	l.Ready = s.server.Startup.Seconds()
	log.Printf("portolan verify took %.1f s, the restart %.1f s", l.Verify, l.Ready)
	return nil
}

// deleteAll deletes all Services, and reads the memory right after it and when the server has
// been left alone for a while.
func (l *Large) deleteAll(ctx context.Context, s *apiServer, rest time.Duration) error {
	log.Printf("deleting %d Services", l.Services)
	_, err := drive(ctx, fillClients, l.Services, func(ctx context.Context, worker, n int) error {
		return s.delete(ctx, worker, fillerName(n))
	})
	if err != nil {
		return err
	}
	if err := l.readMemory(s, "right after all were deleted"); err != nil {
		return err
	}
	if err := sleep(ctx, rest); err != nil {
		return err
	}
	return l.readMemory(s, fmt.Sprintf("%v later", rest))
}
