// Package migrate rewrites the objects of a store that this release, with these
// options, would store differently: objects in another encoding or an older
// version, without today's defaults, not encrypted, or encrypted with an old key.
//
// It uses the codecs and the encryption of the server's stores, and writes what
// they would write for an update that changes nothing. Each object has its own
// transaction, which fails if the object was written since it was read; the other
// writer has then stored it in the new form. So servers can keep running, and an
// interrupted migration can be run again.
//
// It works below the stores: it runs no admission and no strategy, and leaves
// managed fields as they are.
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
	// pageSize limits how many objects are in memory. Each page is one answer from
	// etcd.
	pageSize = 250
	// writers is how many objects are rewritten at once: enough for etcd to combine
	// several in one fsync, few enough not to slow servers down.
	writers = 8
	// progressStep is how many objects lie between two lines of progress. A store
	// that takes only seconds prints none.
	progressStep = 10_000
)

// Migration is one pass over a store.
type Migration struct {
	KV clientv3.KV
	// Stored describes, by resource name, how each resource is stored.
	Stored map[string]storage.Resource
	// DryRun means that objects are only counted, not rewritten.
	DryRun bool
	// Progress receives progress lines for large stores. It may be nil.
	Progress io.Writer
}

// Run rewrites all objects that need it. Objects that can't be read are left alone
// and reported. If etcd fails, Run returns the error and a report of the work done
// so far.
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

	// mu guards the fields below, which all writers change.
	mu     sync.Mutex
	report Report
	read   int
}

// migrate rewrites the objects of a resource in the order of their keys. It reads
// each page at etcd's current revision, so few objects change before they are
// written. An object that is created behind it needs no migration.
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

// renewAll stops at the first error, after the running writers have finished.
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

// outcome is the result for one object.
type outcome int

const (
	current outcome = iota
	rewritten
	writtenMeanwhile
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
		return writtenMeanwhile, nil
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
	case writtenMeanwhile:
		count.WrittenMeanwhile++
	case unreadable:
		count.Unreadable++
	}
	p.read++
	if p.Progress != nil && p.read%progressStep == 0 {
		fmt.Fprintf(p.Progress, "read %d objects\n", p.read)
	}
}
