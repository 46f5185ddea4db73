// Package format keeps the record of which format a store is in, so that
// a release that doesn't know the format leaves the store alone.
//
// The format is a number. It goes up with a release whose objects the one before
// would misread or damage: another storage version, another key, another
// meaning of a claim. Such a release must go on reading and writing the formats
// before, since replicas of two releases run on one store while one is replaced
// by the other, and a release can be rolled back only as long as the format is
// one that it knows. Nothing but "portolan migrate" raises the format.
//
// The record is one key beside those of the resources, in JSON. A server looks
// at it when it starts and watches it from then on.
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
	// first is the format of stores that have no record: those that v0.1.0
	// wrote, and empty ones.
	first = 1

	// watchAgainAfter is how long a watch that etcd has ended pauses.
	watchAgainAfter = time.Second
)

// Record says which format a store is in.
type Record struct {
	// Format is the newest one that an object of the store may have.
	Format int `json:"format"`
	// Release is the one of Portolan that wrote the record.
	Release string `json:"release"`
}

// Store is a store as far as its record goes.
type Store struct {
	Client *clientv3.Client
	// Prefix is that of the server's --etcd-prefix.
	Prefix string
}

// NewerError says that a store is in a format that this release doesn't know.
type NewerError struct {
	Record
}

// Error implements error.
func (e *NewerError) Error() string {
	return fmt.Sprintf("the store is in format %d, which Portolan %s raised it to, and this is Portolan %s, which knows no format above %d: "+
		"run %s or a later release, or restore a backup of before",
		e.Format, e.Release, version.Release(), Known, e.Release)
}

// Key is where the record of a store is kept.
func (s Store) Key() string { return path.Join("/", s.Prefix, v1.GroupName, "format") }

// Check returns the record, and a NewerError if this release must leave the
// store alone. A store without a record has that of the first format, with no
// release; nothing is written.
func (s Store) Check(ctx context.Context) (Record, error) {
	record, _, err := s.read(ctx)
	return record, err
}

// Ensure does what Check does and writes the record if there is none.
func (s Store) Ensure(ctx context.Context) (Record, error) {
	record, revision, err := s.read(ctx)
	if err != nil || revision != 0 {
		return record, err
	}
	return s.write(ctx, Record{Format: first, Release: version.Release()}, 0)
}

// Raise makes the store's format the newest that this release knows, if it is
// older. A replica of an older release that still runs ends then; none starts.
func (s Store) Raise(ctx context.Context) (Record, error) { return s.raise(ctx, Known) }

func (s Store) raise(ctx context.Context, to int) (Record, error) {
	record, revision, err := s.read(ctx)
	if err != nil || record.Format >= to {
		return record, err
	}
	return s.write(ctx, Record{Format: to, Release: version.Release()}, revision)
}

// Guard does what Ensure does, and then serves. The context that it serves in
// ends also when the store is raised beyond what this release knows, and Guard
// returns that as an error then, with the one of serve.
func (s Store) Guard(ctx context.Context, serve func(context.Context) error) error {
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

// watch returns nil when the context ends, or before that an error that says why
// this release must leave the store alone from now on.
func (s Store) watch(ctx context.Context) error {
	var newer error
	err := wait.PollUntilContextCancel(ctx, watchAgainAfter, true, func(ctx context.Context) (bool, error) {
		newer = s.watchOnce(ctx)
		return newer != nil, nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(newer, err)
}

// watchOnce returns nil when etcd ends the watch or can't be asked.
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

// read returns the record and its revision, which is 0 if there is none.
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

// decode ignores what it doesn't know: later releases may say more.
func (s Store) decode(kv *mvccpb.KeyValue) (Record, error) {
	var record Record
	if err := json.Unmarshal(kv.Value, &record); err != nil {
		return record, fmt.Errorf("the record of the store's format, %s, can't be read: %w", kv.Key, err)
	}
	if record.Format < first {
		return record, fmt.Errorf("the record of the store's format, %s, says that it is %d, which is none", kv.Key, record.Format)
	}
	if record.Format > Known {
		return record, &NewerError{record}
	}
	return record, nil
}

// write writes the record if it is as it was read, and otherwise returns the one
// that somebody else wrote.
func (s Store) write(ctx context.Context, record Record, revision int64) (Record, error) {
	value, err := json.Marshal(record)
	if err != nil {
		return record, err
	}
	response, err := s.Client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(s.Key()), "=", revision)).
		Then(clientv3.OpPut(s.Key(), string(value))).
		Commit()
	if err != nil {
		return record, fmt.Errorf("writing the store's format: %w", err)
	}
	if !response.Succeeded {
		return s.Check(ctx)
	}
	return record, nil
}
