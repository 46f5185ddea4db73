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
	// answerTimeout is how long etcd may take. Without a quorum it gives up on
	// writes after 7 s by itself; reads its client would try again for as long as
	// the request may take.
	answerTimeout = 10 * time.Second
	// listTimeout is the same of one page of a list.
	listTimeout = 30 * time.Second
)

// UnansweredError reports that etcd gave no answer, or one that doesn't say what
// became of a request. To clients it is a 504, as a request is that takes too
// long: they can't tell either whether a write was carried out. It carries no
// Retry-After, for which client-go would make a write again.
type UnansweredError struct {
	// Write says that something may have been changed.
	Write bool
	Cause error
}

// Error says whether something may have been changed, as clients are to know.
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

// Unwrap gives the cause.
func (e *UnansweredError) Unwrap() error { return e.Cause }

// Status makes the error the answer to a request, as those of
// k8s.io/apimachinery/pkg/api/errors are.
func (e *UnansweredError) Status() metav1.Status {
	return apierrors.NewTimeoutError(e.Error(), 0).Status()
}

// unanswered is the error that is returned for one of etcd's client. One that the
// caller's own end brought about is left as it is.
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

// inconclusive says whether an error with the code leaves open what became of a
// request.
func inconclusive(code codes.Code) bool {
	switch code {
	case codes.Unavailable,
		// etcd gave up waiting, and its answer was quicker than our own deadline.
		codes.DeadlineExceeded, codes.Canceled,
		// gRPC lost the stream on which the answer was to come.
		codes.Internal, codes.Aborted,
		// What etcd has no code for went wrong inside it: a member that is being
		// removed says "raft: stopped".
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
