package generic

import (
	"context"
	"errors"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericrequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

// checked looks at what an update makes of an object before the generic registry
// does. The typer knows the kind of the object.
type checked struct {
	rest.UpdatedObjectInfo
	typer runtime.ObjectTyper
}

// UpdatedObject implements rest.UpdatedObjectInfo.
func (c checked) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	obj, err := c.UpdatedObjectInfo.UpdatedObject(ctx, old)
	if err != nil {
		return obj, patchError(ctx, err)
	}
	if err := checkVersion(c.typer, obj, false); err != nil {
		return obj, err
	}
	return obj, c.checkMetadata(obj)
}

// checkVersion refuses a resourceVersion that is none, and one of an object that
// is to be created: the generic registry answers either with a 500. A version
// of 0 is that of no object.
func checkVersion(typer runtime.ObjectTyper, obj runtime.Object, create bool) error {
	object, err := meta.Accessor(obj)
	if err != nil || object.GetResourceVersion() == "" {
		return err
	}
	path, text := field.NewPath("metadata", "resourceVersion"), object.GetResourceVersion()
	var cause *field.Error
	version, err := strconv.ParseUint(text, 10, 64)
	switch {
	case err != nil:
		cause = field.Invalid(path, text, "must be the version of an object that was read")
	case create && version != 0:
		cause = field.Forbidden(path, "should not be set on objects to be created")
	default:
		return nil
	}
	kinds, _, err := typer.ObjectKinds(obj)
	if err != nil {
		return err
	}
	return apierrors.NewInvalid(kinds[0].GroupKind(), object.GetName(), field.ErrorList{cause})
}

// patchError makes a 400 of what keeps a patch from being applied and has no
// type of its own, which is a 500 elsewhere: fields that there are none of in a
// configuration, directives of a strategic merge patch that make no sense, items
// that lack the key of their list. What is said of the live object is no
// client's doing.
func patchError(ctx context.Context, err error) error {
	info, known := genericrequest.RequestInfoFrom(ctx)
	var status apierrors.APIStatus
	if !known || info.Verb != "patch" || ctx.Err() != nil || errors.As(err, &status) || strings.Contains(err.Error(), "live object") {
		return err
	}
	return apierrors.NewBadRequest(err.Error())
}

// checkMetadata refuses metadata with more errors than an answer lists, all of
// which the generic registry would word: see validation.Bounded. Fewer are left
// to it.
func (c checked) checkMetadata(obj runtime.Object) error {
	object, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	errs := metadataErrors(object)
	bounded := validation.Bounded(errs)
	if len(bounded) == len(errs) {
		return nil
	}
	kinds, _, err := c.typer.ObjectKinds(obj)
	if err != nil {
		return err
	}
	return apierrors.NewInvalid(kinds[0].GroupKind(), object.GetName(), bounded)
}

// metadataErrors may be none where there is little that could be wrong.
func metadataErrors(object metav1.Object) field.ErrorList {
	const few = 10
	if len(object.GetLabels())+len(object.GetAnnotations())+len(object.GetFinalizers())+len(object.GetOwnerReferences()) < few {
		return nil
	}
	return apivalidation.ValidateObjectMetaAccessor(object, object.GetNamespace() != "",
		func(string, bool) []string { return nil }, field.NewPath("metadata"))
}
