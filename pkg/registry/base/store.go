// Package base is the store that every room of the registry has: the generic
// registry's, but for two things.
//
// Dry runs tell the truth. The generic registry ends them above the storage,
// where nobody knows yet what a transaction would be refused for. Here they go
// through the storage like any other request, down to a transaction that writes
// nothing (txn.WithDryRun).
//
// And objects are looked at first for what the generic registry has no good
// answer to (updated.go).
//
// A store can be served in several API groups (door.go).
package base

import (
	"context"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"

	"github.com/portolan-dev/portolan/pkg/txn"
)

var (
	_ rest.StandardStorage    = Store{}
	_ rest.ShortNamesProvider = Store{}
	_ rest.CategoriesProvider = Store{}
)

// Store is a store of the generic registry. Its client must be that of
// txn.Decorate.
type Store struct {
	*genericregistry.Store
	Names
}

// Create implements rest.Creater.
func (s Store) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	if options != nil && dryrun.IsDryRun(options.DryRun) {
		ctx, options = txn.WithDryRun(ctx), options.DeepCopy()
		options.DryRun = nil
	}
	if err := checkVersion(s.CreateStrategy, obj, true); err != nil {
		return nil, err
	}
	return s.Store.Create(ctx, obj, validate, options)
}

// Update implements rest.Updater.
func (s Store) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc,
	forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	if options != nil && dryrun.IsDryRun(options.DryRun) {
		ctx, options = txn.WithDryRun(ctx), options.DeepCopy()
		options.DryRun = nil
	}
	return s.Store.Update(ctx, name, checked{info, s.UpdateStrategy}, create, update, forceAllowCreate, options)
}

// Delete implements rest.GracefulDeleter.
func (s Store) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	ctx, options = reallyDelete(ctx, options)
	return s.Store.Delete(ctx, name, validate, options)
}

// DeleteCollection implements rest.CollectionDeleter.
func (s Store) DeleteCollection(ctx context.Context, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions, list *metainternalversion.ListOptions) (runtime.Object, error) {
	ctx, options = reallyDelete(ctx, options)
	return s.Store.DeleteCollection(ctx, validate, options, list)
}

func reallyDelete(ctx context.Context, options *metav1.DeleteOptions) (context.Context, *metav1.DeleteOptions) {
	if options == nil || !dryrun.IsDryRun(options.DryRun) {
		return ctx, options
	}
	options = options.DeepCopy()
	options.DryRun = nil
	return txn.WithDryRun(ctx), options
}
