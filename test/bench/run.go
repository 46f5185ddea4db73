package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// warmUp is how many requests a server gets before it is measured, so that its
// caches, its heap and the connections are as they will be.
const warmUp = 200

// bench is one run.
type bench struct {
	*options
	programs *programs
	// dir holds all data directories of this run.
	dir string
	// servers are kube-apiserver, the baseline if there is one, and Portolan.
	servers   []*apiServer
	floorEtcd *upstream.Process
	floor     *floor
	// targets are the servers and the floor, in the order in which they take turns.
	targets []target
	filled  int
	report  *Report
}

// run measures and reports. Nothing it started or made outlives it.
func run(ctx context.Context, o *options, out io.Writer) (err error) {
	programs, err := build(ctx, o)
	if err != nil {
		return err
	}
	b := &bench{options: o, programs: programs, report: newReport(o, programs)}
	parent := o.dir
	if parent == "" {
		parent = filepath.Join(programs.root, ".bin")
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(parent, "bench-"); err != nil {
		return err
	}
	// Servers run in this directory and are told paths in it.
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()

	err = b.measureAll(ctx)
	if len(b.report.Requests) == 0 {
		return err
	}
	// A long run that is interrupted still tells what it has found out.
	return errors.Join(err, b.report.markdown(out), b.report.writeJSON(o.json))
}

func (b *bench) measureAll(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		b.measureStarts, b.start, b.measureChurn, b.measureLevels, b.measureWatches, b.measureRestarts, b.takeProfile, b.measureLarge,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stopServers stops what start started, as far as it came.
func (b *bench) stopServers() {
	if b.floor != nil {
		// The etcd it talks to is killed next.
		_ = b.floor.close()
	}
	if b.floorEtcd != nil {
		b.floorEtcd.Stop()
	}
	for _, s := range b.servers {
		s.server.Stop()
	}
	b.floor, b.floorEtcd, b.servers, b.targets = nil, nil, nil, nil
}

func (b *bench) close() error {
	b.stopServers()
	return os.RemoveAll(b.dir)
}

// launch runs a server of the given name on an empty directory.
func (b *bench) launch(ctx context.Context, name string) (*apiServer, error) {
	programs, start, client := b.programs.Programs, upstream.StartPortolan, newPortolanTarget
	switch name {
	case kubeName:
		start = func(ctx context.Context, programs upstream.Programs, dir string) (*upstream.Server, error) {
			return upstream.StartKube(ctx, programs, dir)
		}
		client = func(_ string, server *upstream.Server, connections int) (*apiServer, error) {
			return newKubeTarget(server, connections)
		}
	case baselineName:
		programs.Portolan = b.baseline
	}
	server, err := start(ctx, programs, b.dir)
	if err != nil {
		return nil, err
	}
	s, err := client(name, server, b.connections)
	if err != nil {
		server.Stop()
	}
	return s, err
}

// names are the servers to compare.
func (b *bench) names() []string {
	if b.baseline == "" {
		return []string{kubeName, portolanName}
	}
	return []string{kubeName, baselineName, portolanName}
}

// measureStarts starts each server alone on an empty directory, in turns.
func (b *bench) measureStarts(ctx context.Context) error {
	for n := range b.starts {
		for _, name := range b.names() {
			s, err := b.launch(ctx, name)
			if err != nil {
				return err
			}
			s.server.Stop()
			log.Printf("start %d of %d: %s ready after %v", n+1, b.starts, name, s.server.Startup.Round(time.Millisecond))
			b.report.addStart(0, name, s.server.Startup)
		}
	}
	return nil
}

// measureRestarts kills each server and starts it again with its Services.
func (b *bench) measureRestarts(ctx context.Context) error {
	for n := range b.starts {
		for _, s := range b.servers {
			s.server.StopAPI()
			if err := s.server.StartAPI(ctx); err != nil {
				return err
			}
			log.Printf("restart %d of %d: %s ready after %v", n+1, b.starts, s.name(), s.server.Startup.Round(time.Millisecond))
			b.report.addStart(b.filled, s.name(), s.server.Startup)
		}
	}
	return nil
}

// start runs everything that is compared, and warms it up.
func (b *bench) start(ctx context.Context) (err error) {
	for _, name := range b.names() {
		s, err := b.launch(ctx, name)
		if err != nil {
			return err
		}
		b.servers, b.targets = append(b.servers, s), append(b.targets, s)
		if err := s.server.Await(ctx, s.settled); err != nil {
			return err
		}
	}
	log.Printf("the servers run; leaving them alone for %v", b.settle)
	if err := sleep(ctx, b.settle); err != nil {
		return err
	}
	if err := b.measureMemory("idle, nothing stored", new(int)); err != nil {
		return err
	}

	dir, err := upstream.NewDir(b.dir, "floor")
	if err != nil {
		return err
	}
	var url string
	if b.floorEtcd, url, err = upstream.StartEtcd(ctx, b.programs.Programs, dir); err != nil {
		return err
	}
	if b.floor, err = newFloor(ctx, b.floorEtcd, url, b.connections, b.servers[len(b.servers)-1]); err != nil {
		return err
	}
	b.targets = append(b.targets, b.floor)
	return warm(ctx, b.targets)
}

func warm(ctx context.Context, targets []target) error {
	for _, t := range targets {
		if _, err := churn(ctx, t, clusterIP, fillClients, warmUp, nil); err != nil {
			return err
		}
	}
	return nil
}

// measureLevels measures with more and more Services in place.
func (b *bench) measureLevels(ctx context.Context) error {
	for _, level := range b.services {
		if level > b.filled {
			log.Printf("filling up to %d Services", level)
			for _, t := range b.targets {
				if err := fill(ctx, t, b.filled, level); err != nil {
					return err
				}
			}
			b.filled = level
			if err := sleep(ctx, b.settle); err != nil {
				return err
			}
			if err := b.measureMemory(fmt.Sprintf("%d Services in place", level), &level); err != nil {
				return err
			}
		}
		if err := b.measureRequests(ctx, level, b.targets, b.add); err != nil {
			return err
		}
		if level > 0 {
			if err := b.measureLists(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds a line to the report.
func (b *bench) add(cell *Cell) {
	b.report.Requests = append(b.report.Requests, cell)
	log.Printf("%d Services, %d clients: %s", cell.Services, cell.Clients, cell)
}

// measureRequests lets the targets take turns, round by round.
func (b *bench) measureRequests(ctx context.Context, level int, targets []target, add func(*Cell)) error {
	for _, kind := range b.kinds {
		between := operations
		if kind != clusterIP {
			between = nil
		}
		for _, clients := range b.clients {
			cells := map[string]*Cell{}
			order := []*Cell{}
			for _, op := range slices.Concat([]string{opCreate}, namesOf(between), []string{opDelete}) {
				cells[op] = newCell(op, kind, clients)
				cells[op].Services = level
				order = append(order, cells[op])
			}
			for range b.rounds {
				for _, t := range targets {
					results, err := churn(ctx, t, kind, clients, b.samples, between)
					if err != nil {
						return err
					}
					for op, stats := range results {
						cells[op].add(t.name(), stats)
					}
				}
			}
			for _, cell := range order {
				add(cell)
			}
		}
	}
	return nil
}

func namesOf(operations []operation) (names []string) {
	for _, op := range operations {
		names = append(names, op.name)
	}
	return names
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
