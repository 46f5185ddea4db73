// Package requeststate has what one request carries from one part of the server to
// another: a State, under one key of the request's context.
//
// Two other values of contexts are not part of it, since they do not last for a request:
//
//   - The plan of a write (package txn) lasts for one call of the storage. A request can
//     make several at the same time: deletecollection does.
//   - The sizes of batches (package storage/atomicwatch) last for one watch on etcd, which
//     the watch cache starts by itself.
package requeststate

import (
	"context"
	"mime"
	"net/http"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

// State is the state of a request. A context holds it by value: a change is seen only
// through the context that it is put into. What Picks, Unavailable and Impersonator point
// to is shared by all copies.
type State struct {
	// Unavailable is the message for the client once a backend could not be asked about the
	// request; see auth.WithServiceUnavailable. It is nil outside of HTTP.
	Unavailable *atomic.Pointer[string]
	// Impersonator is the name of the user that was authenticated, if the request impersonates
	// another one. It is nil outside of HTTP.
	Impersonator *atomic.Pointer[string]
	// StrategicPatch is true for a strategic merge patch.
	StrategicPatch bool
	// Picks are the values that were picked for the request. It is nil if there can be
	// none, and its methods for the storage accept that.
	Picks *Picks
	// DryRun is true if nothing may be written. Storage with DryRun makes the comparisons
	// of a transaction and no writes; see package txn.
	DryRun bool
	// MayFill is true if a write may use the space that a full store reserves for deletes and
	// small updates.
	MayFill bool
	// WritesCopies is true if the request may write copies of a cluster's objects, which are
	// read-only otherwise; see package registry/mirrored.
	WritesCopies bool
	// Move is what the request moves, if it renumbers a Service.
	Move *Move
}

// Move is the move of what a Service holds from one range to another.
type Move struct {
	// Ranges is the resource of both ranges.
	Ranges   string
	From, To string
}

type stateKey struct{}

// From returns the state of a context's request, an empty one if it has none.
func From(ctx context.Context) State {
	state, _ := ctx.Value(stateKey{}).(State)
	return state
}

// With returns a context with the state.
func With(ctx context.Context, state State) context.Context {
	return context.WithValue(ctx, stateKey{}, state)
}

// WithDryRun makes writes in the returned context write nothing. A write that would
// succeed returns the revision that it expected of its object.
func WithDryRun(ctx context.Context) context.Context {
	state := From(ctx)
	state.DryRun = true
	return With(ctx, state)
}

// IsDryRun reports whether writes in the context write nothing.
func IsDryRun(ctx context.Context) bool { return From(ctx).DryRun }

// NewPicks puts an empty set of picks into a context. The caller must call End.
func NewPicks(ctx context.Context, index *allocation.Index) (context.Context, *Picks) {
	state := From(ctx)
	state.Picks = newPicks(index)
	return With(ctx, state), state.Picks
}

// Begin is the filter that gives requests their state, still without picks.
func Begin(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		state := State{
			Unavailable: &atomic.Pointer[string]{}, Impersonator: &atomic.Pointer[string]{}, StrategicPatch: isStrategicPatch(req),
		}
		handler.ServeHTTP(w, req.WithContext(With(req.Context(), state)))
	})
}

func isStrategicPatch(req *http.Request) bool {
	kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	return req.Method == http.MethodPatch && types.PatchType(kind) == types.StrategicMergePatchType
}
