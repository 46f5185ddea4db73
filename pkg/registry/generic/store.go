// Package generic makes the store of a kind from the kind's description (Kind) and its
// rules (Rules), and has what all kinds share: strategies, status subresources, tables and
// API groups.
//
// Store differs from the generic registry's in four ways:
//
//   - Dry runs reach etcd. The generic registry ends them above the storage, which alone
//     knows why a transaction would be rejected. Here they end in a transaction that
//     compares and writes nothing (requeststate.WithDryRun).
//   - Requests that the generic registry answers with a 500, or with megabytes of errors,
//     are rejected earlier (updated.go).
//   - Computed fields are set on watch events too (readtime.go).
//   - Some computed fields are only set for clients (FillServed).
//
// Several API groups can serve one store (group.go).
package generic

import (
	"context"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"

	"github.com/portolan-dev/portolan/pkg/requeststate"
)

var (
	_ rest.StandardStorage    = Store{}
	_ rest.ShortNamesProvider = Store{}
	_ rest.CategoriesProvider = Store{}
)

// Store is the store of one kind.
type Store struct {
	*genericregistry.Store
	Names
	// watchFill is Rules.Fill. It is nil for most kinds.
	watchFill func(runtime.Object)
	// fillServed is nil for most kinds, and for the server's own use.
	fillServed FillServed
}

// FillServed sets the computed fields of an object that a client reads, or of each one in a
// list. The server's own reads do not need them: computing them reads other objects. It
// replaces slices instead of modifying them. watched is true for the event of a watch.
type FillServed func(ctx context.Context, obj runtime.Object, watched bool)

// Served returns the store as clients see it.
func (s Store) Served(fill FillServed) Store {
	s.fillServed = fill
	return s
}

func (s Store) filled(ctx context.Context, obj runtime.Object, err error) (runtime.Object, error) {
	if s.fillServed != nil && err == nil {
		s.fillServed(ctx, obj, false)
	}
	return obj, err
}

// Get implements rest.Getter.
func (s Store) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := s.Store.Get(ctx, name, options)
	return s.filled(ctx, obj, err)
}

// List implements rest.Lister.
func (s Store) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	list, err := s.Store.List(ctx, options)
	return s.filled(ctx, list, err)
}

// Watch implements rest.Watcher.
func (s Store) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	if s.watchFill == nil && s.fillServed == nil {
		return s.Store.Watch(ctx, options)
	}
	undecorated := *s.Store
	undecorated.Decorator = nil
	inner, err := undecorated.Watch(ctx, options)
	if err != nil {
		return nil, err
	}
	return fillEvents(ctx, inner, func(obj runtime.Object) {
		if s.watchFill != nil {
			s.watchFill(obj)
		}
		if s.fillServed != nil {
			s.fillServed(ctx, obj, true)
		}
	}), nil
}

// Create implements rest.Creater.
func (s Store) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	if options != nil && dryrun.IsDryRun(options.DryRun) {
		ctx, options = requeststate.WithDryRun(ctx), options.DeepCopy()
		options.DryRun = nil
	}
	if err := checkVersion(s.CreateStrategy, obj, true); err != nil {
		return nil, err
	}
	created, err := s.Store.Create(ctx, obj, validate, options)
	return s.filled(ctx, created, err)
}

// Update implements rest.Updater.
func (s Store) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc,
	forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	if options != nil && dryrun.IsDryRun(options.DryRun) {
		ctx, options = requeststate.WithDryRun(ctx), options.DeepCopy()
		options.DryRun = nil
	}
	updated, created, err := s.Store.Update(ctx, name, checked{info, s.UpdateStrategy}, create, update, forceAllowCreate, options)
	updated, err = s.filled(ctx, updated, err)
	return updated, created, err
}

// Delete implements rest.GracefulDeleter.
func (s Store) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object,
	bool, error) {
	ctx, options = dryRunInEtcd(ctx, options)
	return s.Store.Delete(ctx, name, validate, options)
}

// DeleteCollection implements rest.CollectionDeleter.
func (s Store) DeleteCollection(ctx context.Context, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
	list *metainternalversion.ListOptions) (runtime.Object, error) {
	ctx, options = dryRunInEtcd(ctx, options)
	return s.Store.DeleteCollection(ctx, validate, options, list)
}

func dryRunInEtcd(ctx context.Context, options *metav1.DeleteOptions) (context.Context, *metav1.DeleteOptions) {
	if options == nil || !dryrun.IsDryRun(options.DryRun) {
		return ctx, options
	}
	options = options.DeepCopy()
	options.DryRun = nil
	return requeststate.WithDryRun(ctx), options
}
