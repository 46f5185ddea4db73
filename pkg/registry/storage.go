package registry

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/cascade"
	"github.com/portolan-dev/portolan/pkg/registry/absent"
	"github.com/portolan-dev/portolan/pkg/registry/endpointslice"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/registry/review"
	"github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/storage/source"
)

// Storage has the stores of a server's kinds.
type Storage struct {
	rows   []row
	stores map[schema.GroupResource]generic.Store
	// sliceWrites are the writes of EndpointSlices.
	sliceWrites cascade.Writes
	inputs      Inputs
}

// row is a kind with its store.
type row struct {
	Kind
	store  generic.Store
	status *generic.Status
	more   map[string]rest.Storage
	// own are the subresources that only the kind's own group serves.
	own map[string]rest.Storage
}

// NewStorage makes the stores of kinds.
func NewStorage(in Inputs, backend Backend, kinds []Kind) (*Storage, error) {
	s := &Storage{stores: map[schema.GroupResource]generic.Store{}, inputs: in}
	for _, kind := range kinds {
		var layer storage.Layer
		if kind.Layer != nil {
			var err error
			if layer, err = kind.Layer(backend, s); err != nil {
				return nil, err
			}
		}
		rules := kind.Rules(in)
		store, err := generic.NewStore(kind.Kind, rules, backend.Getter.For(layer, kind.Batched))
		if err != nil {
			return nil, err
		}
		r := row{Kind: kind, store: store, more: map[string]rest.Storage{}, own: map[string]rest.Storage{}}
		s.stores[kind.Resource] = store
		if kind.Served != nil {
			r.store = store.Served(kind.Served(s, in))
		}
		if rules.Status != nil {
			r.status = generic.NewStatus(r.store, rules.Status)
		}
		s.rows = append(s.rows, r)
	}
	for _, r := range s.rows {
		for name, subresource := range r.Subresources {
			r.more[name] = subresource(s, in)
		}
		for name, subresource := range r.OwnSubresources {
			r.own[name] = subresource(s, in)
		}
		for name, subresource := range r.MirrorSubresources {
			if in.Mirror {
				r.own[name] = subresource(s, in)
			}
		}
	}
	return s, nil
}

// Store returns the store of a kind, by the resource in the kind's own group. The server
// must have the kind.
func (s *Storage) Store(resource schema.GroupResource) generic.Store { return s.stores[resource] }

// SlicesReader returns a reader of the EndpointSlices of Services.
func (s *Storage) SlicesReader() endpointslice.Reader {
	return endpointslice.Reader{Store: s.Store(v1.Resource("endpointslices"))}
}

// ClaimSource returns the store of a resource of portolan.dev.
func (s *Storage) ClaimSource(resource string) source.Source { return s.Store(v1.Resource(resource)) }

// ClaimDeleter returns the same store, to delete objects.
func (s *Storage) ClaimDeleter(resource string) rest.GracefulDeleter {
	return s.Store(v1.Resource(resource))
}

// NamespacedResource is a namespaced resource.
type NamespacedResource struct {
	schema.GroupResource
	Objects interface {
		Lister
		rest.CollectionDeleter
	}
}

// Lister lists objects.
type Lister interface {
	List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error)
}

// NamespacedResources returns the namespaced resources, in the order in which the contents
// of a namespace are deleted. A resource that is in a core API group has that group.
func (s *Storage) NamespacedResources() []NamespacedResource {
	rows := slices.DeleteFunc(slices.Clone(s.rows), func(r row) bool { return r.DeletionOrder == 0 })
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.DeletionOrder, b.DeletionOrder) })
	var resources []NamespacedResource
	for _, r := range rows {
		resource := schema.GroupResource{Group: r.CoreGroup().Group, Resource: r.Resource.Resource}
		resources = append(resources, NamespacedResource{resource, r.store})
	}
	return resources
}

// Groups are the API groups that a server installs.
type Groups struct {
	Portolan *genericapiserver.APIGroupInfo
	// CoreV1 is nil for a server without the core API groups.
	CoreV1 *genericapiserver.APIGroupInfo
	// Others are the other core API groups.
	Others []*genericapiserver.APIGroupInfo
}

// Groups returns the API groups that serve the stores: portolan.dev and, with core, the
// core API groups of their kinds. Reviews and absent kinds are served if the configuration
// of reviews is not nil.
func (s *Storage) Groups(scheme *runtime.Scheme, codecs serializer.CodecFactory, core bool, reviews *review.Config) (groups Groups) {
	resources := map[schema.GroupVersion]map[string]rest.Storage{}
	var order []schema.GroupVersion
	in := func(version schema.GroupVersion) map[string]rest.Storage {
		if resources[version] == nil {
			resources[version] = map[string]rest.Storage{}
			order = append(order, version)
		}
		return resources[version]
	}
	for _, r := range s.rows {
		for i, group := range r.Groups {
			if group.Group != v1.GroupName && !core {
				continue
			}
			if i == 0 && len(r.Groups) > 1 && r.inPortolanGroup() && core {
				// "kubectl delete all" must not delete a Service in both groups.
				group.Names.Sets = nil
			}
			r.serve(s, group, i == 0, in(group.GroupVersion))
		}
	}
	if reviews != nil {
		for _, r := range Reviews() {
			in(r.GroupVersion)[r.Resource] = r.Storage(*reviews)
		}
		for _, kind := range AbsentKinds() {
			in(kind.Resource.GroupVersion())[kind.Resource.Resource] = absent.NewStorage(kind)
		}
	}
	for _, version := range order {
		info := genericapiserver.NewDefaultAPIGroupInfo(version.Group, scheme, runtime.NewParameterCodec(scheme), codecs)
		info.VersionedResourcesStorageMap[version.Version] = resources[version]
		switch version.Group {
		case v1.GroupName:
			groups.Portolan = &info
		case corev1.GroupName:
			groups.CoreV1 = &info
		default:
			groups.Others = append(groups.Others, &info)
		}
	}
	return groups
}

// serve adds a kind's storage to the resources of a group. own is true for the kind's own
// group, which serves the store as it is.
func (r row) serve(s *Storage, group generic.Group, own bool, resources map[string]rest.Storage) {
	store, status, name := r.store, r.status, r.Resource.Resource
	if own {
		store.Names = group.Names
	} else {
		store = store.ServedAs(group)
	}
	resources[name] = store
	if r.Serve != nil {
		resources[name] = r.Serve(store, s, s.inputs)
	}
	if status != nil {
		if !own {
			status = status.ServedAs(group)
		}
		resources[name+"/status"] = status
	}
	for subresource, served := range r.more {
		resources[name+"/"+subresource] = served
	}
	if own {
		for subresource, served := range r.own {
			resources[name+"/"+subresource] = served
		}
	}
}
