package mirrored

import (
	"context"
	"fmt"
	"io"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/apigroup"
)

var _ rest.Connecter = &REST{}

// REST serves the subresource mirror of a kind.
type REST struct {
	kind    Kind
	store   *Store
	decoder runtime.Decoder
}

// NewREST returns the subresource mirror of a kind. The decoder returns objects of the
// kind as portolan.dev/v1.
func NewREST(kind Kind, store *Store, decoder runtime.Decoder) *REST {
	return &REST{kind: kind, store: store, decoder: decoder}
}

// New implements rest.Storage.
func (r *REST) New() runtime.Object { return r.store.NewFunc() }

// Destroy implements rest.Storage. The main store destroys the storage.
func (*REST) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (*REST) ConnectMethods() []string { return []string{http.MethodPut, http.MethodDelete} }

// NewConnectOptions implements rest.Connecter.
func (*REST) NewConnectOptions() (runtime.Object, bool, string) { return nil, false, "" }

// Connect implements rest.Connecter. The subresource is a connection, because the
// framework would change the managed fields and the metadata of an update.
func (r *REST) Connect(ctx context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	return http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		ctx := asWriter(ctx)
		body, err := io.ReadAll(req.Body)
		if err != nil {
			responder.Error(err)
			return
		}
		var obj runtime.Object
		code := http.StatusOK
		if req.Method == http.MethodDelete {
			obj, err = r.delete(ctx, name, body)
		} else {
			obj, code, err = r.put(ctx, name, body)
		}
		if err != nil {
			responder.Error(err)
			return
		}
		responder.Object(code, obj)
	}), nil
}

// put creates a copy or, if the object has a resource version, replaces that version of it:
// an earlier state of the copy, or Portolan's own object that has been released to it.
func (r *REST) put(ctx context.Context, name string, body []byte) (runtime.Object, int, error) {
	decoded, _, err := r.decoder.Decode(body, nil, nil)
	if err != nil {
		return nil, 0, apierrors.NewBadRequest(err.Error())
	}
	if got, want := fmt.Sprintf("%T", decoded), fmt.Sprintf("%T", r.New()); got != want {
		return nil, 0, apierrors.NewBadRequest(fmt.Sprintf("a %s is wanted", r.kind.Kind))
	}
	obj := decoded.(metav1.Object)
	if errs := checkObject(obj, request.NamespaceValue(ctx), name); len(errs) > 0 {
		return nil, 0, apierrors.NewInvalid(apigroup.Kind(ctx, r.kind.Resource, r.kind.Kind), name, errs)
	}
	key, err := r.store.KeyFunc(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	resource, out := apigroup.Resource(ctx, r.kind.Resource), r.New()
	version := obj.GetResourceVersion()
	if version == "" {
		err := r.store.Storage.Create(ctx, key, decoded, out, 0, false)
		return out, http.StatusCreated, storeerr.InterpretCreateError(err, resource, name)
	}
	err = r.store.Storage.GuaranteedUpdate(ctx, key, out, false, &storage.Preconditions{ResourceVersion: &version},
		func(stored runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
			if err := checkReplaced(ctx, r.kind, stored, obj.GetUID()); err != nil {
				return nil, nil, err
			}
			return decoded.DeepCopyObject(), nil, nil
		}, false, nil)
	return out, http.StatusOK, storeerr.InterpretUpdateError(err, resource, name)
}

// delete deletes a copy, whatever finalizers it has: the cluster has waited for these.
func (r *REST) delete(ctx context.Context, name string, body []byte) (runtime.Object, error) {
	var options metav1.DeleteOptions
	if len(body) > 0 {
		if err := json.Unmarshal(body, &options); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	var preconditions storage.Preconditions
	if options.Preconditions != nil {
		preconditions = storage.Preconditions{UID: options.Preconditions.UID, ResourceVersion: options.Preconditions.ResourceVersion}
	}
	key, err := r.store.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	out := r.New()
	err = r.store.Storage.Delete(ctx, key, out, &preconditions, func(ctx context.Context, stored runtime.Object) error {
		return checkStored(ctx, r.kind, stored)
	}, false, nil, storage.DeleteOptions{})
	return out, storeerr.InterpretDeleteError(err, apigroup.Resource(ctx, r.kind.Resource), name)
}

// checkObject checks what makes an object a copy. The cluster has validated the rest.
func checkObject(obj metav1.Object, namespace, name string) field.ErrorList {
	path := field.NewPath("metadata")
	var errs field.ErrorList
	if obj.GetName() != name {
		errs = append(errs, field.Invalid(path.Child("name"), obj.GetName(), "must be the name in the URL"))
	}
	if obj.GetNamespace() != namespace {
		errs = append(errs, field.Invalid(path.Child("namespace"), obj.GetNamespace(), "must be the namespace in the URL"))
	}
	if obj.GetUID() == "" {
		errs = append(errs, field.Required(path.Child("uid"), "a copy has the UID of its source"))
	}
	if created := obj.GetCreationTimestamp(); created.IsZero() {
		errs = append(errs, field.Required(path.Child("creationTimestamp"), "a copy is as old as its source"))
	}
	if cluster, _ := v1.MirroredFrom(obj); cluster == "" {
		errs = append(errs, field.Required(path.Child("annotations").Key(v1.AnnotationMirroredFrom), "a copy names its cluster"))
	}
	if obj.GetDeletionTimestamp() != nil {
		errs = append(errs, field.Forbidden(path.Child("deletionTimestamp"), "a copy exists or does not"))
	}
	return append(errs, apivalidation.ValidateObjectMetaAccessor(obj, true, apivalidation.NameIsDNSSubdomain, path)...)
}

// checkReplaced rejects a copy of another object than the one that is stored, unless
// Portolan's own has been released to the copy's UID.
func checkReplaced(ctx context.Context, kind Kind, stored runtime.Object, uid types.UID) error {
	obj := stored.(metav1.Object)
	if !v1.IsMirrored(obj) && v1.ReleasedTo(obj, uid) {
		return nil
	}
	if err := checkStored(ctx, kind, stored); err != nil || obj.GetUID() == uid {
		return err
	}
	return apierrors.NewConflict(apigroup.Resource(ctx, kind.Resource), obj.GetName(), errAnother)
}

// checkStored rejects the write of an object that is Portolan's own.
func checkStored(ctx context.Context, kind Kind, stored runtime.Object) error {
	obj := stored.(metav1.Object)
	if v1.IsMirrored(obj) {
		return nil
	}
	return apierrors.NewConflict(apigroup.Resource(ctx, kind.Resource), obj.GetName(), errOwn)
}
