package txn

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/etcd/quota"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

const (
	// opBytes is the approximate overhead of etcd for a key and its value.
	opBytes = 256
	// slackBytes is how much an update may grow an object when the store is full.
	// Marking an object for deletion, or removing a finalizer, needs less.
	slackBytes = 1 << 10

	// insufficientStorage is the reason of a 507, for which upstream has none.
	insufficientStorage metav1.StatusReason = "InsufficientStorage"

	externalAdvice = "etcd's database is full, and nothing was written: " +
		"compact, defragment and disarm the alarm, in that order, or raise etcd's --quota-backend-bytes; " +
		"https://github.com/portolan-dev/portolan/blob/main/artifacts/docs/full-store.md has the commands"
)

// Space decides whether the store has space for a write, before anything is sent. It must
// not block, except for dry runs.
type Space interface {
	// Admit records a write, or returns an error that says what to do.
	Admit(quota.Write) error
	// Reject records that a write was rejected because of Admit's error.
	Reject(quota.Write)
}

// unlimited leaves the decision to the store.
type unlimited struct{}

func (unlimited) Admit(quota.Write) error { return nil }
func (unlimited) Reject(quota.Write)      {}

// NoSpaceError reports that the store has no space for a write, and that nothing was
// written. Clients get a 507.
type NoSpaceError struct {
	Cause error
}

// Error returns what to do.
func (e *NoSpaceError) Error() string {
	if errors.Is(e.Cause, rpctypes.ErrNoSpace) {
		return externalAdvice
	}
	return e.Cause.Error()
}

// Unwrap returns the cause.
func (e *NoSpaceError) Unwrap() error { return e.Cause }

// Status implements apierrors.APIStatus.
func (e *NoSpaceError) Status() metav1.Status {
	return metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusInsufficientStorage, Reason: insufficientStorage, Message: e.Error(),
	}
}

var _ apierrors.APIStatus = &NoSpaceError{}

// admit decides whether there is space for a put of the key and its plan. It reads the key
// only if there is none: an object that does not grow can still be updated, and a write
// that conflicts gets the conflict.
func (i *Interface) admit(ctx context.Context, key string, expectedRevision int64, objectBytes, planBytes int64) error {
	state := requeststate.From(ctx)
	write := quota.Write{Bytes: objectBytes + planBytes, Replaces: state.MayFill, DryRun: state.DryRun}
	full := i.space.Admit(write)
	if full == nil {
		return nil
	}
	found, err := i.read(ctx, key)
	if err != nil {
		return unanswered(ctx, err, false)
	}
	if ModRevision(found) != expectedRevision {
		return nil
	}
	if found != nil && objectBytes+planBytes <= putBytes(key, found.Value)+slackBytes {
		write.Replaces = true
		full = i.space.Admit(write)
	}
	if full == nil {
		return nil
	}
	i.space.Reject(write)
	return &NoSpaceError{Cause: full}
}

func (i *Interface) read(ctx context.Context, key string) (*mvccpb.KeyValue, error) {
	bounded, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	response, err := i.kv.Get(bounded, key)
	if err != nil || len(response.Kvs) == 0 {
		return nil, err
	}
	return response.Kvs[0], nil
}

func putBytes(key string, value []byte) int64 { return int64(len(key) + len(value) + opBytes) }

// planBytes returns the size that a plan adds to a write.
func planBytes(plan *Plan) (total int64) {
	for _, put := range plan.Puts {
		total += putBytes(put.Key, put.Value)
	}
	return total
}

// noSpace returns the error for an etcd that reports that it is full. etcd reports it
// before or after it has carried a write out. Either way it has finished with the write, so
// the write was not carried out if the key is at the expected revision.
func (i *Interface) noSpace(ctx context.Context, key string, expectedRevision int64, cause error) (Result, error) {
	if found, err := i.read(ctx, key); err == nil && ModRevision(found) == expectedRevision {
		return ResultFull, &NoSpaceError{Cause: cause}
	}
	return ResultUnknown, &UnansweredError{Write: true, Cause: cause}
}

// Lease wraps the client that makes leases, which objects that expire need. A lease
// without its object does not count as a write.
func Lease(inner clientv3.Lease) clientv3.Lease { return lease{inner} }

type lease struct {
	clientv3.Lease
}

// Grant implements clientv3.Lease.
func (l lease) Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	bounded, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	response, err := l.Lease.Grant(bounded, ttl)
	if errors.Is(err, rpctypes.ErrNoSpace) {
		return nil, &NoSpaceError{Cause: err}
	}
	if err != nil {
		return nil, unanswered(ctx, fmt.Errorf("a lease for an object that expires: %w", err), false)
	}
	return response, nil
}
