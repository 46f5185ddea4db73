package format

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/pkg/etcd/etcdtest"
	"github.com/portolan-dev/portolan/pkg/version"
)

const (
	newer      = `{"format":2,"release":"v9.0.0","more":true}`
	newerError = "the store is in format 2, raised by Portolan v9.0.0, but this is Portolan "
)

func startStore(t *testing.T) Store {
	t.Helper()
	store := etcdtest.Start(t)
	return Store{Client: store.Client, Prefix: "registry"}
}

func (s Store) put(t *testing.T, value string) {
	t.Helper()
	if _, err := s.Client.Put(t.Context(), s.Key(), value); err != nil {
		t.Fatal(err)
	}
}

// stored returns the record's value and how often it was written.
func (s Store) stored(t *testing.T) (string, int64) {
	t.Helper()
	response, err := s.Client.Get(t.Context(), "/registry/portolan.dev/format")
	if err != nil {
		t.Fatal(err)
	}
	if len(response.Kvs) == 0 {
		return "", 0
	}
	return string(response.Kvs[0].Value), response.Kvs[0].Version
}

func TestRecordIsWrittenOnce(t *testing.T) {
	s := startStore(t)
	if record, err := s.Check(t.Context()); err != nil || record != (Record{Format: 1}) {
		t.Errorf("an empty store: %v, %v", record, err)
	}
	if value, _ := s.stored(t); value != "" {
		t.Errorf("Check wrote %s", value)
	}
	for range 2 {
		record, err := s.Ensure(t.Context())
		if err != nil || record != (Record{Format: 1, Release: version.Release()}) {
			t.Errorf("got %v, %v", record, err)
		}
	}
	if record, err := s.Raise(t.Context()); err != nil || record.Format != Known {
		t.Errorf("got %v, %v", record, err)
	}
	value, times := s.stored(t)
	if value != `{"format":1,"release":"`+version.Release()+`"}` || times != 1 {
		t.Errorf("%s was written, %d times", value, times)
	}
}

// TestRecordOfAnotherReplica expects the second writer to return the record of the
// first, even if its format is newer.
func TestRecordOfAnotherReplica(t *testing.T) {
	s := startStore(t)
	s.put(t, `{"format":1,"release":"v0.1.0"}`)
	for _, revision := range []int64{0, 1} {
		record, err := s.write(t.Context(), Record{Format: 1, Release: "late"}, revision)
		if err != nil || record.Release != "v0.1.0" {
			t.Errorf("at revision %d: %v, %v", revision, record, err)
		}
	}
	s.put(t, newer)
	if _, err := s.write(t.Context(), Record{Format: 1}, 0); err == nil || !strings.HasPrefix(err.Error(), newerError) {
		t.Errorf("got %v", err)
	}
}

// TestRaise raises the store to format 2.
func TestRaise(t *testing.T) {
	s := startStore(t)
	s.put(t, `{"format":1,"release":"v0.1.0"}`)
	record, err := s.raise(t.Context(), 2)
	if err != nil || record != (Record{Format: 2, Release: version.Release()}) {
		t.Errorf("got %v, %v", record, err)
	}
	if value, times := s.stored(t); value != `{"format":2,"release":"`+version.Release()+`"}` || times != 2 {
		t.Errorf("%s was written, %d times", value, times)
	}
}

func TestUnknownFormats(t *testing.T) {
	s := startStore(t)
	for value, want := range map[string]string{
		newer: newerError + version.Release() +
			", which knows formats up to 1: run v9.0.0 or a later release, or restore an earlier backup",
		"":             "the record of the store's format, /registry/portolan.dev/format, can't be read: unexpected end of JSON input",
		`{"format":0}`: "the record of the store's format, /registry/portolan.dev/format, has the invalid format 0",
	} {
		s.put(t, value)
		served := func(context.Context) error { t.Error("served"); return nil }
		_, checked := s.Check(t.Context())
		_, raised := s.Raise(t.Context())
		for _, err := range []error{checked, raised, s.WhileKnown(t.Context(), served)} {
			if err == nil || err.Error() != want {
				t.Errorf("%s: got %v, want %s", value, err, want)
			}
		}
		if left, _ := s.stored(t); left != value {
			t.Errorf("%s has become %s", value, left)
		}
	}
}

func TestGuard(t *testing.T) {
	s := startStore(t)
	failed := errors.New("failed")
	err := s.WhileKnown(t.Context(), func(ctx context.Context) error {
		// A format that this release knows doesn't end serve.
		s.put(t, `{"format":1,"release":"v0.1.0"}`)
		return errors.Join(failed, ctx.Err())
	})
	if !errors.Is(err, failed) || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}

	ended, end := context.WithCancel(t.Context())
	if err := s.WhileKnown(ended, func(ctx context.Context) error {
		end()
		<-ctx.Done()
		return nil
	}); err != nil {
		t.Errorf("a server whose context ends returns %v", err)
	}

	err = s.WhileKnown(t.Context(), func(ctx context.Context) error {
		s.put(t, newer)
		<-ctx.Done()
		return nil
	})
	var asNewer *NewerError
	if !errors.As(err, &asNewer) || asNewer.Format != 2 || asNewer.Release != "v9.0.0" {
		t.Errorf("got %v", err)
	}
}
