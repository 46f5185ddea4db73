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
)

const (
	// opBytes is about what etcd stores with a key and its value.
	opBytes = 256
	// slackBytes is how much an update may grow an object when the store is full.
	// Marking an object as being deleted, or removing a finalizer, takes less.
	slackBytes = 1 << 10

	// insufficientStorage is the reason of a 507, for which upstream has none.
	insufficientStorage metav1.StatusReason = "InsufficientStorage"

	externalAdvice = "etcd's database is full, and nothing was written: " +
		"compact, defragment and disarm the alarm, in that order, or raise etcd's --quota-backend-bytes; " +
		"https://github.com/portolan-dev/portolan/blob/main/artifacts/docs/full-store.md has the commands"
)

// Space says whether the store has room for a write. It is asked before anything
// is sent and returns at once, but for dry runs.
type Space interface {
	// Admit takes note of a write, or returns an error that says what to do.
	Admit(quota.Write) error
	// Reject takes note that a write was rejected for what Admit said.
	Reject(quota.Write)
}

// unlimited is a store that says by itself when it is full.
type unlimited struct{}

func (unlimited) Admit(quota.Write) error { return nil }
func (unlimited) Reject(quota.Write)      {}

// FullError reports that the store has no room for a write, and that nothing was
// written. To clients it is a 507.
type FullError struct {
	Cause error
}

// Error says what to do.
func (e *FullError) Error() string {
	if errors.Is(e.Cause, rpctypes.ErrNoSpace) {
		return externalAdvice
	}
	return e.Cause.Error()
}

// Unwrap gives the cause.
func (e *FullError) Unwrap() error { return e.Cause }

// Status makes the error the answer to a request, as those of
// k8s.io/apimachinery/pkg/api/errors are.
func (e *FullError) Status() metav1.Status {
	return metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusInsufficientStorage, Reason: insufficientStorage, Message: e.Error(),
	}
}

var _ apierrors.APIStatus = &FullError{}

// admit asks whether there is room for a put of the key and what goes with it.
// Only where there is none does it read the key: an object that gets no larger
// may still be updated, and a write that conflicts is told that.
func (i *Interface) admit(ctx context.Context, key string, expectedRevision int64, own, others int64) error {
	write := quota.Write{Bytes: own + others, DryRun: IsDryRun(ctx)}
	full := i.space.Admit(write)
	if full == nil {
		return nil
	}
	found, err := i.read(ctx, key)
	if err != nil {
		return unanswered(ctx, err, false)
	}
	if modRevision(found) != expectedRevision {
		return nil
	}
	if found != nil && own+others <= putBytes(key, found.Value)+slackBytes {
		write.Replaces = true
		full = i.space.Admit(write)
	}
	if full == nil {
		return nil
	}
	i.space.Reject(write)
	return &FullError{Cause: full}
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

// planBytes is what a plan adds to a write.
func planBytes(plan *Plan) (total int64) {
	for _, put := range plan.Puts {
		total += putBytes(put.Key, put.Value)
	}
	return total
}

// noSpace is the error for an etcd that says that it is full. It says so whether
// it checked before it carried a write out, or afterwards. Either way it is done
// with the write, so a key at the revision that the write expected means that it
// wasn't carried out.
func (i *Interface) noSpace(ctx context.Context, key string, expectedRevision int64, cause error) (Result, error) {
	if found, err := i.read(ctx, key); err == nil && modRevision(found) == expectedRevision {
		return ResultFull, &FullError{Cause: cause}
	}
	return ResultUnknown, &UnansweredError{Write: true, Cause: cause}
}

// Lease wraps the client that leases are made with, which are for objects that
// expire. A lease without its object is nothing that was written.
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
		return nil, &FullError{Cause: err}
	}
	if err != nil {
		return nil, unanswered(ctx, fmt.Errorf("a lease for an object that expires: %w", err), false)
	}
	return response, nil
}
