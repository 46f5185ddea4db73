package mirrored

import (
	"context"
	"errors"
	"maps"
	"net/http"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/apigroup"
)

var (
	errOwn     = errors.New("it is Portolan's own and not a copy of a cluster's")
	errAnother = errors.New("it is the copy of another object of the cluster")
)

var _ rest.Connecter = &AdoptREST{}

// AdoptREST serves services/adopt.
type AdoptREST struct {
	services, endpoints, slices *Store
}

// NewAdoptREST returns the subresource adopt of Services.
func NewAdoptREST(services, endpoints, slices *Store) *AdoptREST {
	return &AdoptREST{services: services, endpoints: endpoints, slices: slices}
}

// New implements rest.Storage.
func (*AdoptREST) New() runtime.Object { return &v1.Service{} }

// Destroy implements rest.Storage. The main stores destroy the storage.
func (*AdoptREST) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (*AdoptREST) ConnectMethods() []string { return []string{http.MethodPost} }

// NewConnectOptions implements rest.Connecter.
func (*AdoptREST) NewConnectOptions() (runtime.Object, bool, string) { return nil, false, "" }

// Connect implements rest.Connecter.
func (r *AdoptREST) Connect(ctx context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		service, err := r.adopt(asWriter(ctx), name)
		if err != nil {
			responder.Error(err)
			return
		}
		responder.Object(http.StatusOK, service)
	}), nil
}

// adopt makes a Service and its slices Portolan's own. It can be repeated.
//
// The slices come before the Service: until the Service is Portolan's own, neither the
// mirror nor the controllers of endpoints touch a slice that is. They come again after it,
// as the mirror may have added one meanwhile.
func (r *AdoptREST) adopt(ctx context.Context, name string) (runtime.Object, error) {
	if err := r.adoptDependents(ctx, name); err != nil {
		return nil, err
	}
	service, err := disown(ctx, r.services, "services", name, v1.AnnotationAdoptedFrom)
	if err != nil {
		return nil, err
	}
	return service, r.adoptDependents(ctx, name)
}

func (r *AdoptREST) adoptDependents(ctx context.Context, name string) error {
	ofService := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: name})
	found, err := r.slices.List(ctx, &metainternalversion.ListOptions{LabelSelector: ofService})
	if err != nil {
		return err
	}
	err = meta.EachListItem(found, func(item runtime.Object) error {
		slice := item.(*v1.EndpointSlice)
		if !v1.IsMirrored(slice) {
			return nil
		}
		_, err := disown(ctx, r.slices, "endpointslices", slice.Name, "")
		return ignoreNotFound(err)
	})
	if err != nil {
		return err
	}
	_, err = disown(ctx, r.endpoints, "endpoints", name, "")
	return ignoreNotFound(err)
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// disown removes the mark of a copy. If former is not empty, the address of the cluster
// moves to that annotation. It writes nothing if the object is not a copy.
func disown(ctx context.Context, store *Store, resource, name, former string) (runtime.Object, error) {
	key, err := store.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	out := store.NewFunc()
	err = store.Storage.GuaranteedUpdate(ctx, key, out, false, nil,
		func(stored runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
			obj := stored.(metav1.Object)
			cluster, mirrored := v1.MirroredFrom(obj)
			if !mirrored {
				return stored, nil, nil
			}
			annotations := maps.Clone(obj.GetAnnotations())
			delete(annotations, v1.AnnotationMirroredFrom)
			if former != "" {
				annotations[former] = cluster
			}
			obj.SetAnnotations(annotations)
			return stored, nil, nil
		}, false, nil)
	return out, storeerr.InterpretUpdateError(err, apigroup.Resource(ctx, resource), name)
}
