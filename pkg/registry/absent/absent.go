// Package absent serves kinds that a standalone server never has objects of: those that
// need a cluster, such as Deployments. Clients can read them, and there are none. kubectl
// apply --prune and other clients read every kind that they know, and fail if one is missing.
package absent

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"
)

// version is the resource version of every list. No object ever changes.
const version = "1"

// Kind describes an absent kind.
type Kind struct {
	// Resource is the plural name with its API group and version.
	Resource schema.GroupVersionResource
	Singular string
	Short    []string
	// Namespaced is true for a kind whose objects are in namespaces.
	Namespaced bool
	// New returns an empty object, and NewList a list.
	New, NewList func() runtime.Object
}

var (
	_ rest.Getter               = &storage{}
	_ rest.Lister               = &storage{}
	_ rest.Watcher              = &storage{}
	_ rest.Scoper               = &storage{}
	_ rest.SingularNameProvider = &storage{}
	_ rest.ShortNamesProvider   = &storage{}
)

// storage serves a kind.
type storage struct {
	rest.TableConvertor
	kind Kind
}

// NewStorage returns the storage that serves a kind.
func NewStorage(kind Kind) rest.Storage {
	return &storage{rest.NewDefaultTableConvertor(kind.Resource.GroupResource()), kind}
}

// New implements rest.Storage.
func (s *storage) New() runtime.Object { return s.kind.New() }

// Destroy implements rest.Storage.
func (*storage) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (s *storage) NamespaceScoped() bool { return s.kind.Namespaced }

// GetSingularName implements rest.SingularNameProvider.
func (s *storage) GetSingularName() string { return s.kind.Singular }

// ShortNames implements rest.ShortNamesProvider.
func (s *storage) ShortNames() []string { return s.kind.Short }

// Get implements rest.Getter.
func (s *storage) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	return nil, apierrors.NewNotFound(s.kind.Resource.GroupResource(), name)
}

// NewList implements rest.Lister.
func (s *storage) NewList() runtime.Object { return s.kind.NewList() }

// List implements rest.Lister.
func (s *storage) List(context.Context, *metainternalversion.ListOptions) (runtime.Object, error) {
	list := s.kind.NewList()
	if err := meta.SetList(list, nil); err != nil {
		return nil, err
	}
	return list, meta.NewAccessor().SetResourceVersion(list, version)
}

// Watch implements rest.Watcher. The only event is the bookmark that ends the initial
// events, for a client that asked for them (KEP-3157).
func (s *storage) Watch(_ context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	events := make(chan watch.Event, 1)
	if options == nil || !ptr.Deref(options.SendInitialEvents, false) || !options.AllowWatchBookmarks {
		return watch.NewProxyWatcher(events), nil
	}
	end := s.kind.New()
	object, err := meta.Accessor(end)
	if err != nil {
		return nil, err
	}
	object.SetResourceVersion(version)
	object.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	events <- watch.Event{Type: watch.Bookmark, Object: end}
	return watch.NewProxyWatcher(events), nil
}
