// Package review answers the reviews of authentication.k8s.io and authorization.k8s.io:
// who a caller or the holder of a token is, and what a user may do. Nothing is stored. The
// answers are those of the server's own authenticator and authorizer, in kube-apiserver's
// form (pkg/registry/authentication, pkg/registry/authorization).
//
//   - storage.go serves any kind of review.
//   - authentication.go and authorization.go have the answers.
//   - attributes.go converts what a review asks about to what the authorizer understands.
package review

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Config has what reviews are answered with.
type Config struct {
	// Tokens authenticates bearer tokens. It is nil for a server without tokens.
	Tokens authenticator.Request
	// Audiences are those of tokens for this server.
	Audiences authenticator.Audiences
	// Authorizer decides what a user may do, and Rules lists it.
	Authorizer authorizer.UnconditionalAuthorizer
	Rules      authorizer.RuleResolver
}

var (
	_ rest.Creater              = &storage[runtime.Object]{}
	_ rest.Scoper               = &storage[runtime.Object]{}
	_ rest.SingularNameProvider = &storage[runtime.Object]{}
)

// storage serves a kind of reviews. T is the type of its objects.
type storage[T runtime.Object] struct {
	singular   string
	namespaced bool
	new        func() T
	// check rejects a review that can't be answered, and answer fills it in.
	check  func(context.Context, T) error
	answer func(context.Context, T) (runtime.Object, error)
}

// New implements rest.Storage.
func (s *storage[T]) New() runtime.Object { return s.new() }

// Destroy implements rest.Storage.
func (*storage[T]) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (s *storage[T]) NamespaceScoped() bool { return s.namespaced }

// GetSingularName implements rest.SingularNameProvider.
func (s *storage[T]) GetSingularName() string { return s.singular }

// Create implements rest.Creater. It returns the answer.
func (s *storage[T]) Create(ctx context.Context, obj runtime.Object, admit rest.ValidateObjectFunc,
	_ *metav1.CreateOptions) (runtime.Object, error) {
	review := obj.(T)
	if err := s.check(ctx, review); err != nil {
		return nil, err
	}
	if admit != nil {
		if err := admit(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	return s.answer(ctx, review)
}
