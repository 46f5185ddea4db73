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
	dir            string
	kube, portolan *upstream.Server
	floorEtcd      *upstream.Process
	floor          *floor
	// targets in the order in which they take turns.
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
	for _, step := range []func(context.Context) error{b.measureStarts, b.start, b.measureLevels, b.takeProfile, b.measureLarge} {
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
	for _, s := range []*upstream.Server{b.kube, b.portolan} {
		if s != nil {
			s.Stop()
		}
	}
	b.floor, b.floorEtcd, b.kube, b.portolan = nil, nil, nil, nil
}

func (b *bench) close() error {
	b.stopServers()
	return os.RemoveAll(b.dir)
}

// measureStarts starts each server alone on an empty directory, in turns.
func (b *bench) measureStarts(ctx context.Context) error {
	for n := range b.starts {
		kube, err := upstream.StartKube(ctx, b.programs.Programs, b.dir)
		if err != nil {
			return err
		}
		kube.Stop()
		portolan, err := upstream.StartPortolan(ctx, b.programs.Programs, b.dir)
		if err != nil {
			return err
		}
		portolan.Stop()
		log.Printf("start %d of %d: kube-apiserver ready after %v, portolan after %v", n+1, b.starts,
			kube.Startup.Round(time.Millisecond), portolan.Startup.Round(time.Millisecond))
		b.report.addStart(kube.Startup, portolan.Startup)
	}
	return nil
}

// start runs everything that is compared, and warms it up.
func (b *bench) start(ctx context.Context) (err error) {
	if b.kube, err = upstream.StartKube(ctx, b.programs.Programs, b.dir); err != nil {
		return err
	}
	if b.portolan, err = upstream.StartPortolan(ctx, b.programs.Programs, b.dir); err != nil {
		return err
	}
	kube, err := newKubeTarget(b.kube.Config, b.connections)
	if err != nil {
		return err
	}
	portolan, err := newPortolanTarget("portolan", b.portolan.Config, b.connections)
	if err != nil {
		return err
	}
	if err := b.kube.Await(ctx, kube.settled); err != nil {
		return err
	}
	log.Printf("both servers run; leaving them alone for %v", b.settle)
	if err := sleep(ctx, b.settle); err != nil {
		return err
	}
	if err := b.measureMemory("idle, nothing stored"); err != nil {
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
	if b.floor, err = newFloor(ctx, url, b.connections, portolan, kinds); err != nil {
		return err
	}
	b.targets = []target{kube, portolan, b.floor}
	return warm(ctx, b.targets)
}

func warm(ctx context.Context, targets []target) error {
	for _, t := range targets {
		if _, _, err := churn(ctx, t, clusterIP, fillClients, warmUp); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) measureMemory(when string) error {
	kube, kubeAll, err := b.kube.Memories()
	if err != nil {
		return err
	}
	portolan, _, err := b.portolan.Memories()
	if err != nil {
		return err
	}
	b.report.Memory = append(b.report.Memory, Memory{when, kube, kubeAll, portolan})
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
			if err := b.measureMemory(fmt.Sprintf("%d Services in place", level)); err != nil {
				return err
			}
		}
		for _, kind := range b.kinds {
			for _, clients := range b.clients {
				cells, err := b.measure(ctx, b.targets, kind, clients)
				if err != nil {
					return err
				}
				for _, cell := range cells {
					cell.Services = level
					b.report.Requests = append(b.report.Requests, cell)
					log.Printf("%d Services, %d clients: %s", level, clients, cell)
				}
			}
		}
	}
	return nil
}

// measure lets the targets take turns, round by round.
func (b *bench) measure(ctx context.Context, targets []target, kind string, clients int) ([]*Cell, error) {
	creates, deletes := newCell(opCreate, kind, clients), newCell(opDelete, kind, clients)
	for range b.rounds {
		for _, t := range targets {
			created, deleted, err := churn(ctx, t, kind, clients, b.samples)
			if err != nil {
				return nil, err
			}
			creates.add(t.name(), created)
			deletes.add(t.name(), deleted)
		}
	}
	return []*Cell{creates, deletes}, nil
}

const (
	emptyName = "empty"
	largeName = "large"
)

// measureLarge compares Portolan with many Services with an empty Portolan.
func (b *bench) measureLarge(ctx context.Context) (err error) {
	if b.large == 0 {
		return nil
	}
	// They would share the machine with what is measured now.
	b.stopServers()
	var targets []target
	var servers []*upstream.Server
	defer func() {
		for _, s := range servers {
			s.Stop()
		}
	}()
	for _, name := range []string{emptyName, largeName} {
		s, err := upstream.StartPortolan(ctx, b.programs.Programs, b.dir)
		if err != nil {
			return err
		}
		servers = append(servers, s)
		t, err := newPortolanTarget(name, s.Config, b.connections)
		if err != nil {
			return err
		}
		targets = append(targets, t)
	}
	if err := warm(ctx, targets); err != nil {
		return err
	}
	log.Printf("filling a portolan of its own up to %d Services", b.large)
	if err := fill(ctx, targets[1], 0, b.large); err != nil {
		return err
	}
	if err := sleep(ctx, b.settle); err != nil {
		return err
	}
	memory, _, err := servers[1].Memories()
	if err != nil {
		return err
	}
	b.report.Large = &Large{Services: b.large, Memory: memory}
	for _, kind := range b.kinds {
		for _, clients := range b.clients {
			cells, err := b.measure(ctx, targets, kind, clients)
			if err != nil {
				return err
			}
			b.report.Large.Requests = append(b.report.Large.Requests, cells...)
			for _, cell := range cells {
				log.Printf("%d Services, %d clients: %s", b.large, clients, cell)
			}
		}
	}
	return nil
}

// takeProfile writes down what Portolan spends its time on while Services are
// created.
func (b *bench) takeProfile(ctx context.Context) error {
	if b.profile == "" {
		return nil
	}
	const seconds = "10"
	t, err := newPortolanTarget("portolan", b.portolan.Config, b.connections)
	if err != nil {
		return err
	}
	log.Printf("profiling portolan for %s s", seconds)
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- createUntil(ctx, stop, t, b.kinds[0], slices.Max(b.clients)) }()
	data, err := t.clients[0].RESTClient().Get().AbsPath("/debug/pprof/profile").Param("seconds", seconds).
		SetHeader("Accept", "*/*").Do(ctx).Raw()
	close(stop)
	if err := errors.Join(err, <-ended); err != nil {
		return fmt.Errorf("profiling portolan: %w", err)
	}
	return os.WriteFile(b.profile, data, 0o644)
}

// createUntil creates Services until it is told to stop. They stay.
func createUntil(ctx context.Context, stop <-chan struct{}, t target, kind string, clients int) error {
	const batch = 500
	for created := 0; ; created += batch {
		select {
		case <-stop:
			return nil
		default:
		}
		_, err := drive(ctx, clients, batch, func(ctx context.Context, worker, n int) error {
			return t.create(ctx, worker, kind, fmt.Sprintf("profile-%06d", created+n))
		})
		if err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
