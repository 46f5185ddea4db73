// Package format records which format a store is in, so that a release that
// doesn't know the format leaves the store alone.
//
// The format is a number. A release raises it if the release before would misread
// or damage its objects: because of another storage version, another key, or
// another meaning of a claim. Such a release must still read and write the earlier
// formats. During an upgrade, replicas of both releases use one store, and a
// rollback works only while the older release knows the format. Only "portolan
// migrate" raises the format.
//
// The record is one JSON value whose key stands beside those of the resources. A
// server checks it at startup and then watches it.
package format

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/util/wait"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/version"
)

const (
	// Known is the newest format that this release reads and writes.
	Known = 1
	// first is the format of stores without a record: those that v0.1.0 wrote, and
	// empty ones.
	first = 1

	// rewatchDelay is the pause before a watch that etcd ended is started again.
	rewatchDelay = time.Second
)

// Record says which format a store is in.
type Record struct {
	// Format is the newest format that the store's objects may have.
	Format int `json:"format"`
	// Release is the release of Portolan that wrote the record.
	Release string `json:"release"`
	// Import names the source of an import that has not finished. No server uses such a
	// store.
	Import string `json:"import,omitempty"`
}

// Store reads and writes the record of a store.
type Store struct {
	Client *clientv3.Client
	// Prefix is the server's --etcd-prefix.
	Prefix string
}

// NewerError means that a store is in a format that this release doesn't know.
type NewerError struct {
	Record
}

// Error implements error.
func (e *NewerError) Error() string {
	return fmt.Sprintf("the store is in format %d, raised by Portolan %s, but this is Portolan %s, which knows formats up to %d: "+
		"run %s or a later release, or restore an earlier backup",
		e.Format, e.Release, version.Release(), Known, e.Release)
}

// Key returns the etcd key of the record.
func (s Store) Key() string { return path.Join("/", s.Prefix, v1.GroupName, "format") }

// Check returns the record, or a *NewerError if this release must leave the store
// alone. For a store without a record it returns the first format and no release.
// It writes nothing.
func (s Store) Check(ctx context.Context) (Record, error) {
	record, _, err := s.read(ctx)
	return record, err
}

// Ensure returns what Check does, and writes the record if there is none.
func (s Store) Ensure(ctx context.Context) (Record, error) {
	record, revision, err := s.read(ctx)
	if err != nil || revision != 0 {
		return record, err
	}
	return s.write(ctx, Record{Format: first, Release: version.Release()}, 0)
}

// Raise raises an older format to the newest that this release knows. Replicas of
// an older release that doesn't know that format then exit, and don't start again.
func (s Store) Raise(ctx context.Context) (Record, error) { return s.raise(ctx, Known) }

func (s Store) raise(ctx context.Context, to int) (Record, error) {
	record, revision, err := s.read(ctx)
	if err != nil || record.Format >= to {
		return record, err
	}
	return s.write(ctx, Record{Format: to, Release: version.Release()}, revision)
}

// WhileKnown calls Ensure, and then serve for as long as this release knows the store's
// format and no import into the store begins. Otherwise it cancels serve's context and
// returns a *NewerError or an *UnfinishedImportError joined with serve's error.
func (s Store) WhileKnown(ctx context.Context, serve func(context.Context) error) error {
	if _, err := s.Ensure(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	newer := make(chan error, 1)
	go func() {
		newer <- s.watch(ctx)
		stop()
	}()
	err := serve(ctx)
	stop()
	return errors.Join(err, <-newer)
}

// watch returns nil when ctx ends. Before that it returns an error once this
// release must leave the store alone.
func (s Store) watch(ctx context.Context) error {
	var newer error
	err := wait.PollUntilContextCancel(ctx, rewatchDelay, true, func(ctx context.Context) (bool, error) {
		newer = s.watchOnce(ctx)
		return newer != nil, nil
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // It is the context's error.
	}
	return errors.Join(newer, err)
}

// watchOnce returns nil if etcd ends the watch or doesn't answer.
func (s Store) watchOnce(ctx context.Context) error {
	response, err := s.Client.Get(ctx, s.Key())
	if err != nil {
		return nil
	}
	for _, kv := range response.Kvs {
		if _, err := s.decode(kv); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for response := range s.Client.Watch(ctx, s.Key(), clientv3.WithRev(response.Header.Revision+1), clientv3.WithFilterDelete()) {
		for _, event := range response.Events {
			if _, err := s.decode(event.Kv); err != nil {
				return err
			}
		}
	}
	return nil
}

// read returns the record and its revision. The revision is 0 if there is no
// record.
func (s Store) read(ctx context.Context) (Record, int64, error) {
	response, err := s.Client.Get(ctx, s.Key())
	if err != nil {
		return Record{}, 0, fmt.Errorf("reading the store's format: %w", err)
	}
	for _, kv := range response.Kvs {
		record, err := s.decode(kv)
		return record, kv.ModRevision, err
	}
	return Record{Format: first}, 0, nil
}

// decode ignores unknown fields, which later releases may add.
func (s Store) decode(kv *mvccpb.KeyValue) (Record, error) {
	var record Record
	if err := json.Unmarshal(kv.Value, &record); err != nil {
		return record, fmt.Errorf("the record of the store's format, %s, can't be read: %w", kv.Key, err)
	}
	if record.Format < first {
		return record, fmt.Errorf("the record of the store's format, %s, has the invalid format %d", kv.Key, record.Format)
	}
	if record.Format > Known {
		return record, &NewerError{record}
	}
	if record.Import != "" {
		return record, &UnfinishedImportError{record}
	}
	return record, nil
}

// write writes the record if it is still at the given revision. Otherwise it
// returns the record that another replica wrote.
func (s Store) write(ctx context.Context, record Record, revision int64) (Record, error) {
	_, err := s.replace(ctx, record, revision)
	if errors.Is(err, ErrChanged) {
		return s.Check(ctx)
	}
	return record, err
}

// ErrChanged means that another process wrote the record.
var ErrChanged = errors.New("another process has written the record of the store's format")

// replace writes the record if it is still at the given revision, and returns the new one.
func (s Store) replace(ctx context.Context, record Record, revision int64) (int64, error) {
	value, err := json.Marshal(record)
	if err != nil {
		return 0, err
	}
	response, err := s.Client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(s.Key()), "=", revision)).
		Then(clientv3.OpPut(s.Key(), string(value))).
		Commit()
	switch {
	case err != nil:
		return 0, fmt.Errorf("writing the store's format: %w", err)
	case !response.Succeeded:
		return 0, ErrChanged
	}
	return response.Header.Revision, nil
}
