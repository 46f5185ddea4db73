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
	"strings"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
	// Custom describes how custom resources are stored.
	Custom storage.CustomResources
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
		name := kind.Resource.Resource
		if err = p.migrate(ctx, resource{p.Stored[name], name, kind.New}); err != nil {
			break
		}
	}
	if err == nil && p.Custom.Resource != nil {
		err = p.migrateCustom(ctx)
	}
	slices.Sort(p.report.Unreadable)
	return p.report, err
}

// resource is a resource whose objects are rewritten.
type resource struct {
	storage.Resource
	name string
	new  func() runtime.Object
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
func (p *pass) migrate(ctx context.Context, r resource) error {
	p.report.Resources = append(p.report.Resources, Count{Resource: r.name})
	end := clientv3.WithRange(clientv3.GetPrefixRangeEnd(r.Prefix))
	for from := r.Prefix; ; {
		page, err := p.KV.Get(ctx, from, end, clientv3.WithLimit(pageSize))
		if err != nil {
			return fmt.Errorf("migrating %s: %w", r.name, err)
		}
		if err := p.renewAll(ctx, r, page.Kvs); err != nil {
			return fmt.Errorf("migrating %s: %w", r.name, err)
		}
		if !page.More || len(page.Kvs) == 0 {
			return nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// migrateCustom rewrites the objects of the custom resources. It finds the resources by their
// keys, so it needs no definitions.
func (p *pass) migrateCustom(ctx context.Context) error {
	end := clientv3.WithRange(clientv3.GetPrefixRangeEnd(p.Custom.Prefix))
	for from := p.Custom.Prefix; ; {
		first, err := p.KV.Get(ctx, from, end, clientv3.WithLimit(1), clientv3.WithKeysOnly())
		if err != nil || len(first.Kvs) == 0 {
			return err
		}
		key := strings.Split(strings.TrimPrefix(string(first.Kvs[0].Key), p.Custom.Prefix), "/")
		if len(key) < 3 {
			return fmt.Errorf("%s is not the key of a custom resource", first.Kvs[0].Key)
		}
		name := schema.GroupResource{Group: key[0], Resource: key[1]}
		stored, err := p.Custom.Resource(name)
		if err != nil {
			return fmt.Errorf("how %s are stored: %w", name, err)
		}
		custom := resource{stored, name.String(), func() runtime.Object { return &unstructured.Unstructured{} }}
		if err := p.migrate(ctx, custom); err != nil {
			return err
		}
		from = clientv3.GetPrefixRangeEnd(stored.Prefix)
	}
}

// renewAll stops at the first error, after the running writers have finished.
func (p *pass) renewAll(ctx context.Context, r resource, kvs []*mvccpb.KeyValue) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workqueue.ParallelizeUntil(ctx, writers, len(kvs), func(i int) {
		outcome, err := p.renew(ctx, r, kvs[i])
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

func (p *pass) renew(ctx context.Context, r resource, kv *mvccpb.KeyValue) (outcome, error) {
	put, differs, err := r.Renew(ctx, kv, r.new())
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
