package format

import (
	"context"
	"errors"
	"fmt"

	"github.com/portolan-dev/portolan/pkg/version"
)

// UnfinishedImportError means that a store has only a part of what it is to have.
type UnfinishedImportError struct {
	Record
}

// Error implements error.
func (e *UnfinishedImportError) Error() string {
	return fmt.Sprintf("the import of %s into this store has not finished: run the same \"portolan import\" again, "+
		"which removes the part that is there and starts again", e.Import)
}

// BeginImport marks the store as unfinished until EndImport, so that no server uses it. It
// returns the revision of the record, which transactions of the import compare, and whether
// an earlier import was left unfinished. A running server of this release stops.
func (s Store) BeginImport(ctx context.Context, source string) (revision int64, again bool, err error) {
	_, before, err := s.read(ctx)
	if _, unfinished := errors.AsType[*UnfinishedImportError](err); unfinished {
		again, err = true, nil
	}
	if err != nil {
		return 0, false, err
	}
	revision, err = s.MarkImport(ctx, source, before)
	return revision, again, err
}

// MarkImport marks the store as unfinished if its record is still at the given revision, and
// returns the record's new revision. Otherwise it returns ErrChanged.
func (s Store) MarkImport(ctx context.Context, source string, revision int64) (int64, error) {
	return s.replace(ctx, Record{Format: Known, Release: version.Release(), Import: source}, revision)
}

// EndImport marks the store as whole.
func (s Store) EndImport(ctx context.Context, revision int64) error {
	_, err := s.replace(ctx, Record{Format: Known, Release: version.Release()}, revision)
	return err
}
