// Package migrate rewrites the objects of a store that are not stored as this
// release, with these options, would store them: in another encoding, in an
// older version, without today's defaults, not encrypted, or encrypted with a
// key that is on its way out.
//
// It goes through the codecs and the encryption of the server's own stores, and
// writes what they would write for an update that changes nothing. Each object
// is a transaction of its own, which puts it if nobody has written it since it
// was read: who has, has done so in the new form. So servers can go on, and a
// migration that was interrupted is simply run again.
//
// What it doesn't do is what happens above the stores: no admission, no
// strategy, no managed fields.
package migrate

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/client-go/util/workqueue"

	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/storage"
)

const (
	// pageSize bounds how many objects are in memory: one answer of etcd.
	pageSize = 250
	// writers is how many objects are rewritten at once: enough for etcd to put
	// several into one fsync, few enough for servers not to notice.
	writers = 8
	// progressStep keeps stores that are done within seconds silent.
	progressStep = 10_000
)

// Migration is one pass over a store.
type Migration struct {
	KV clientv3.KV
	// Stored is how each resource is stored, by its name.
	Stored map[string]storage.Resource
	// DryRun counts what would be rewritten and writes nothing.
	DryRun bool
	// Progress is told about large stores, if it isn't nil.
	Progress io.Writer
}

// Run rewrites what has to be. It fails if etcd does; objects that can't be read
// are left alone and reported. What was done until then is reported in any case.
func (m Migration) Run(ctx context.Context) (Report, error) {
	p := &pass{Migration: m, report: Report{DryRun: m.DryRun}}
	var err error
	for _, kind := range registry.Kinds() {
		if err = p.migrate(ctx, kind); err != nil {
			err = fmt.Errorf("migrating %s: %w", kind.Resource.Resource, err)
			break
		}
	}
	slices.Sort(p.report.Unreadable)
	return p.report, err
}

type pass struct {
	Migration

	// mu guards what follows from the writers.
	mu     sync.Mutex
	report Report
	read   int
}

// migrate goes through a resource in the order of its keys. Each page is what
// etcd has at the time, so that it is as rarely as can be out of date; an object
// that is created behind it needs no migration.
func (p *pass) migrate(ctx context.Context, kind registry.Kind) error {
	stored := p.Stored[kind.Resource.Resource]
	p.report.Resources = append(p.report.Resources, Count{Resource: kind.Resource.Resource})
	end := clientv3.WithRange(clientv3.GetPrefixRangeEnd(stored.Prefix))
	for from := stored.Prefix; ; {
		page, err := p.KV.Get(ctx, from, end, clientv3.WithLimit(pageSize))
		if err != nil {
			return err
		}
		if err := p.renewAll(ctx, kind, page.Kvs); err != nil {
			return err
		}
		if !page.More || len(page.Kvs) == 0 {
			return nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// renewAll ends with the first error; what the writers have begun they end.
func (p *pass) renewAll(ctx context.Context, kind registry.Kind, kvs []*mvccpb.KeyValue) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workqueue.ParallelizeUntil(ctx, writers, len(kvs), func(i int) {
		outcome, err := p.renew(ctx, kind, kvs[i])
		if err != nil {
			cancel(err)
			return
		}
		p.count(outcome)
	})
	return context.Cause(ctx)
}

// outcome is what came of one object.
type outcome int

const (
	current outcome = iota
	rewritten
	meanwhile
	unreadable
)

func (p *pass) renew(ctx context.Context, kind registry.Kind, kv *mvccpb.KeyValue) (outcome, error) {
	put, differs, err := p.Stored[kind.Resource.Resource].Renew(ctx, kv, kind.New())
	if err != nil {
		if ctx.Err() != nil {
			return unreadable, err
		}
		p.reject(err)
		return unreadable, nil
	}
	if !differs {
		return current, nil
	}
	if p.DryRun {
		return rewritten, nil
	}
	answer, err := p.KV.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(put.Key), "=", kv.ModRevision)).
		Then(clientv3.OpPut(put.Key, string(put.Value))).
		Commit()
	if err != nil {
		return current, fmt.Errorf("writing %s: %w", put.Key, err)
	}
	if !answer.Succeeded {
		return meanwhile, nil
	}
	return rewritten, nil
}

func (p *pass) reject(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.Unreadable = append(p.report.Unreadable, reason.Error())
}

func (p *pass) count(o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := &p.report.Resources[len(p.report.Resources)-1]
	count.Read++
	switch o {
	case rewritten:
		count.Rewritten++
	case meanwhile:
		count.Meanwhile++
	case unreadable:
		count.Unreadable++
	}
	p.read++
	if p.Progress != nil && p.read%progressStep == 0 {
		fmt.Fprintf(p.Progress, "read %d objects\n", p.read)
	}
}
