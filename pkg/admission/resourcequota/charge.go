package resourcequota

import (
	"context"
	"net/http"
)

// charge is whether a request has been charged. The attempts of a request come
// one after the other.
type charge struct {
	made bool
}

type chargeKey struct{}

// WithCharges lets every request be charged once, however many attempts it
// takes. A request creates one object at most.
func WithCharges(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		handler.ServeHTTP(w, req.WithContext(newContext(req.Context())))
	})
}

func newContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, chargeKey{}, &charge{})
}

// chargeOf is the charge of a request. Outside of one, every call is charged.
func chargeOf(ctx context.Context) *charge {
	if known, ok := ctx.Value(chargeKey{}).(*charge); ok {
		return known
	}
	return &charge{}
}
