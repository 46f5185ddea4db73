package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/store/format"
	"github.com/portolan-dev/portolan/pkg/txn"
)

const (
	// maxOperations and maxBytes limit a transaction of several units, well below etcd's
	// defaults of 128 operations and 1.5 MiB. A Service with more claims has a transaction
	// of its own.
	maxOperations = 120
	maxBytes      = 1 << 20
	// writers is how many transactions are committed at once: enough for etcd to combine
	// several in one fsync.
	writers = 8
	// cleanUpTimeout is how long a failed import may take to remove what it wrote.
	cleanUpTimeout = time.Minute
)

// Writer writes plans into a store.
type Writer struct {
	Client *clientv3.Client
	// Prefix is the server's --etcd-prefix.
	Prefix string
	// Stored describes, by resource name, how each resource is stored.
	Stored map[string]storage.Resource
	// Progress shows how far the writer is. It may be nil.
	Progress io.Writer
}

func (w Writer) format() format.Store { return format.Store{Client: w.Client, Prefix: w.Prefix} }

// CheckEmpty fails if the store has objects, unless an import of them has not finished.
func (w Writer) CheckEmpty(ctx context.Context) error {
	_, err := w.format().Check(ctx)
	if _, unfinished := errors.AsType[*format.UnfinishedImportError](err); unfinished {
		return nil
	}
	if err != nil {
		return err
	}
	return w.checkEmpty(ctx)
}

// checkEmpty fails if the store has more than the record of its format.
func (w Writer) checkEmpty(ctx context.Context) error {
	root := path.Join("/", w.Prefix, v1.GroupName) + "/"
	found, err := w.Client.Get(ctx, root, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(2))
	if err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	for _, kv := range found.Kvs {
		if string(kv.Key) != w.format().Key() {
			return fmt.Errorf("the store is not empty: it has %s and perhaps more. Import into a new --data-dir, or with another --etcd-prefix; "+
				"a store that a server was started on has ranges already", strings.TrimPrefix(string(kv.Key), root))
		}
	}
	return nil
}

// Write writes a plan into an empty store, all of it or nothing. The source is text that
// names where the plan comes from. A store with an unfinished import is emptied first.
func (w Writer) Write(ctx context.Context, plan *Plan, source string) (err error) {
	if open := plan.Open(); len(open) > 0 {
		return fmt.Errorf("%d problems prevent the import", len(open))
	}
	if err := w.CheckEmpty(ctx); err != nil {
		return err
	}
	revision, again, err := w.format().BeginImport(ctx, source)
	if err != nil {
		return err
	}
	if again {
		err = w.remove(ctx, revision)
	} else if err = w.checkEmpty(ctx); err != nil {
		// A server has started in between: what is there is its own.
		return errors.Join(err, w.format().EndImport(ctx, revision))
	}
	if err == nil {
		err = w.writeAll(ctx, plan, revision)
	}
	if err == nil {
		return w.format().EndImport(ctx, revision)
	}
	return w.cleanUp(ctx, source, revision, err)
}

// cleanUp removes what a failed import wrote, unless another import has begun. It writes the
// mark again first, so that a transaction which etcd still has to carry out fails.
func (w Writer) cleanUp(ctx context.Context, source string, revision int64, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	revision, err := w.format().MarkImport(ctx, source, revision)
	if errors.Is(err, format.ErrChanged) {
		return fmt.Errorf("%w: %w", cause, errTakenOver)
	}
	if err == nil {
		err = w.remove(ctx, revision)
	}
	if err == nil {
		err = w.format().EndImport(ctx, revision)
	}
	if err != nil {
		return errors.Join(cause, fmt.Errorf("removing what was written: %w; run the same import again", err))
	}
	return fmt.Errorf("%w; nothing was imported", cause)
}

// remove removes all objects of the store.
func (w Writer) remove(ctx context.Context, revision int64) error {
	for _, stored := range w.Stored {
		response, err := w.Client.Txn(ctx).If(w.marked(revision)).Then(clientv3.OpDelete(stored.Prefix, clientv3.WithPrefix())).Commit()
		if err != nil {
			return fmt.Errorf("emptying %s: %w", stored.Prefix, err)
		}
		if !response.Succeeded {
			return errTakenOver
		}
	}
	return nil
}

// errTakenOver means that another import has marked the store.
var errTakenOver = errors.New("another import into this store has begun")

func (w Writer) marked(revision int64) clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(w.format().Key()), "=", revision)
}

// batch has the puts of several units.
type batch struct {
	puts  []txn.Put
	bytes int
}

// writeAll encodes the units and commits them in batches.
func (w Writer) writeAll(ctx context.Context, plan *Plan, revision int64) error {
	progress := newProgress(w.Progress, "wrote", plan.Objects())
	defer progress.end()
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan batch)
	group.Go(func() error {
		defer close(batches)
		return w.encodeAll(ctx, plan, batches)
	})
	for range writers {
		group.Go(func() error {
			for b := range batches {
				if err := w.commit(ctx, b, revision); err != nil {
					return err
				}
				progress.add(len(b.puts))
			}
			return nil
		})
	}
	return group.Wait()
}

// encodeAll sends the units of a plan, in batches that etcd accepts.
func (w Writer) encodeAll(ctx context.Context, plan *Plan, to chan<- batch) error {
	var next batch
	send := func() error {
		if len(next.puts) == 0 {
			return nil
		}
		select {
		case to <- next:
			next = batch{}
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for _, unit := range plan.units {
		var encoded batch
		for _, o := range unit {
			put, err := w.Stored[o.resource].Encode(ctx, o.name, o.object)
			if err != nil {
				return err
			}
			encoded.puts = append(encoded.puts, put)
			encoded.bytes += len(put.Key) + len(put.Value)
		}
		if len(next.puts)+len(encoded.puts) > maxOperations || next.bytes+encoded.bytes > maxBytes {
			if err := send(); err != nil {
				return err
			}
		}
		next.puts, next.bytes = append(next.puts, encoded.puts...), next.bytes+encoded.bytes
	}
	return send()
}

// commit writes a batch, if the store still has the mark of this import and none of the
// keys.
func (w Writer) commit(ctx context.Context, b batch, revision int64) error {
	compares := []clientv3.Cmp{w.marked(revision)}
	var puts []clientv3.Op
	for _, put := range b.puts {
		compares = append(compares, clientv3.Compare(clientv3.CreateRevision(put.Key), "=", 0))
		puts = append(puts, clientv3.OpPut(put.Key, string(put.Value)))
	}
	response, err := w.Client.Txn(ctx).If(compares...).Then(puts...).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return fmt.Errorf("writing %s and its claims: %w", b.puts[0].Key, &txn.TooLargeError{Operations: len(compares)})
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("writing %s and its claims: %w", b.puts[0].Key, &txn.TooLargeError{Bytes: b.bytes})
	case err != nil:
		return fmt.Errorf("writing %s and %d more: %w", b.puts[0].Key, len(b.puts)-1, err)
	case !response.Succeeded:
		return fmt.Errorf("writing %s and %d more: something else writes into the store", b.puts[0].Key, len(b.puts)-1)
	}
	return nil
}
