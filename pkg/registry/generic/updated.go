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
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/apis/portolan/validation"
	"github.com/portolan-dev/portolan/pkg/storage"
)

// checked checks the updated object before the generic registry does.
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
	// The field manager sets apiVersion and kind of the old object, and not always of the new
	// one. The generic registry would take that for a change: an object that is applied again
	// would be written for the new time in its managed fields.
	storage.ClearTypeMeta(old)
	storage.ClearTypeMeta(obj)
	if err := checkVersion(c.typer, obj, false); err != nil {
		return obj, err
	}
	return obj, c.checkMetadata(obj)
}

// checkVersion rejects a malformed resourceVersion, and one of an object to be created.
// The generic registry answers either with a 500. It accepts 0 as no version.
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

// patchError turns untyped errors of a patch, which the generic registry answers with a
// 500, into a 400: unknown fields in an applied configuration, invalid directives of a
// strategic merge patch, and list items without their key. Errors about the live object
// are not the client's fault and stay a 500. Structured merge diff has no type for them;
// the text is k8s.io/apimachinery's (pkg/util/managedfields/internal/structuredmerge.go).
func patchError(ctx context.Context, err error) error {
	info, known := apirequest.RequestInfoFrom(ctx)
	var status apierrors.APIStatus
	if !known || info.Verb != "patch" || ctx.Err() != nil || errors.As(err, &status) || strings.Contains(err.Error(), "live object") {
		return err
	}
	return apierrors.NewBadRequest(err.Error())
}

// checkMetadata rejects metadata with more errors than an answer lists, since the generic
// registry would format all of them: see validation.Bounded. It leaves fewer errors to the
// generic registry.
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

// metadataErrors returns the errors of metadata, unless the metadata is too small to have
// many.
func metadataErrors(object metav1.Object) field.ErrorList {
	const few = 10
	if len(object.GetLabels())+len(object.GetAnnotations())+len(object.GetFinalizers())+len(object.GetOwnerReferences()) < few {
		return nil
	}
	return apivalidation.ValidateObjectMetaAccessor(object, object.GetNamespace() != "",
		func(string, bool) []string { return nil }, field.NewPath("metadata"))
}
