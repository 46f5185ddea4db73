package secret

import (
	"context"
	"errors"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var _ rest.StandardStorage = &REST{}

// REST serves Secrets.
type REST struct {
	generic.Store
}

// Serve returns the storage that serves clients.
func Serve(store generic.Store) rest.Storage { return &REST{store} }

// Update implements rest.Updater.
func (r *REST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc,
	forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.Store.Update(ctx, name, concealed{info}, create, update, forceAllowCreate, options)
}

// concealed redacts the data of a Secret from the error of a patch. If the patched
// object is not a valid Secret, the error of k8s.io/apiserver's patch handler contains
// the object. A user who can patch but not get Secrets could otherwise read them.
type concealed struct {
	rest.UpdatedObjectInfo
}

// UpdatedObject implements rest.UpdatedObjectInfo.
func (c concealed) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	obj, err := c.UpdatedObjectInfo.UpdatedObject(ctx, old)
	return obj, conceal(err)
}

// conceal redacts the error of a failed patch and returns other errors unchanged. It
// recognizes the error by its only cause, which names the field "patch".
func conceal(err error) error {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || !apierrors.IsInvalid(status) || status.ErrStatus.Details == nil {
		return err
	}
	path := field.NewPath("patch")
	causes := status.ErrStatus.Details.Causes
	if len(causes) != 1 || causes[0].Field != path.String() {
		return err
	}
	reason := strings.TrimPrefix(causes[0].Message, field.ErrorTypeInvalid.String()+": ")
	value, unquoted := strconv.QuotedPrefix(reason)
	if unquoted != nil {
		value = reason
	}
	reason = strings.TrimPrefix(reason[len(value):], ": ")
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(path, "<secret contents redacted>", reason)})
}
