package txn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// answerTimeout bounds a call of etcd. Without a quorum etcd itself ends writes after
	// 7 s, and its client retries reads until the request times out.
	answerTimeout = 10 * time.Second
	// listTimeout bounds a call for one page of a list.
	listTimeout = 30 * time.Second
)

// UnansweredError reports that etcd gave no answer, or one that does not say whether it
// carried a request out. Clients get a 504, as for a request that takes too long: in both
// cases a write may have been carried out. There is no Retry-After, as client-go would
// repeat a write because of it.
type UnansweredError struct {
	// Write is true if something may have been changed.
	Write bool
	Cause error
}

// Error tells clients whether something may have been changed.
func (e *UnansweredError) Error() string {
	text := fmt.Sprintf("etcd did not answer: %v", e.Cause)
	if errors.Is(e.Cause, rpctypes.ErrNoSpace) {
		text = fmt.Sprintf("etcd's database is full: %v", e.Cause)
	}
	if e.Write {
		text += "; the write may have been carried out, or may be yet"
	}
	return text
}

// Unwrap returns the cause.
func (e *UnansweredError) Unwrap() error { return e.Cause }

// Status implements apierrors.APIStatus.
func (e *UnansweredError) Status() metav1.Status {
	return apierrors.NewTimeoutError(e.Error(), 0).Status()
}

// unanswered returns the error for an error of etcd's client. It leaves an error alone that
// the end of the caller's context caused.
func unanswered(ctx context.Context, err error, write bool) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	var known rpctypes.EtcdError
	answer, coded := status.FromError(err)
	switch {
	case errors.As(err, &known) && inconclusive(known.Code()),
		errors.Is(err, context.DeadlineExceeded),
		coded && inconclusive(answer.Code()):
		return &UnansweredError{Write: write, Cause: err}
	}
	return err
}

// inconclusive reports whether an error with the code leaves open if a request was carried
// out.
func inconclusive(code codes.Code) bool {
	switch code {
	case codes.Unavailable,
		// etcd stopped waiting before our own deadline.
		codes.DeadlineExceeded, codes.Canceled,
		// gRPC lost the stream of the answer.
		codes.Internal, codes.Aborted,
		// etcd had an internal error without a code, such as "raft: stopped" of a member
		// that is being removed.
		codes.Unknown:
		return true
	}
	return false
}

// Get reads a key.
func (i *Interface) Get(ctx context.Context, key string, opts kubernetes.GetOptions) (kubernetes.GetResponse, error) {
	bounded, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	response, err := i.Interface.Get(bounded, key, opts)
	return response, unanswered(ctx, err, false)
}

// List reads a page of keys.
func (i *Interface) List(ctx context.Context, prefix string, opts kubernetes.ListOptions) (kubernetes.ListResponse, error) {
	bounded, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	response, err := i.Interface.List(bounded, prefix, opts)
	return response, unanswered(ctx, err, false)
}
