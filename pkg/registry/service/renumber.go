package service

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

var _ rest.NamedCreater = &Renumber{}

// Renumber serves services/renumber, the only request that changes the cluster IPs of a
// Service. A client creates a Renumbering there. The caller needs the right to do so, and
// those to update the Service and both ranges.
//
// The new values come from the ledger and not from the client, so none of the rules for a
// client's update apply. As for every subresource, admission sees the Renumbering and not the
// Service.
type Renumber struct {
	services   generic.Store
	ledger     *claims.Ledger
	synced     func() bool
	authorizer authorizer.UnconditionalAuthorizer
}

// NewRenumber returns the subresource renumber of Services. synced reports whether the
// ledger's index is complete.
func NewRenumber(services generic.Store, ledger *claims.Ledger, synced func() bool, authz authorizer.UnconditionalAuthorizer) *Renumber {
	store := *services.Store
	store.UpdateStrategy = renumberStrategy{generic.DefaultStrategy{ObjectTyper: store.UpdateStrategy}}
	services.Store = &store
	return &Renumber{services: services, ledger: ledger, synced: synced, authorizer: authz}
}

// New implements rest.Storage.
func (*Renumber) New() runtime.Object { return &v1.Renumbering{} }

// Destroy implements rest.Storage. The main store destroys the storage.
func (*Renumber) Destroy() {}

// Create implements rest.NamedCreater. It returns the Renumbering with its status. Nothing is
// written if the Service holds nothing that is to be moved.
func (r *Renumber) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	renumbering, ok := obj.(*v1.Renumbering)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("a Renumbering was expected, not %T", obj))
	}
	if errs := validateRenumbering(renumbering, name); len(errs) > 0 {
		return nil, apierrors.NewInvalid(v1.Kind("Renumbering"), name, errs)
	}
	renumbering.Name, renumbering.Namespace = name, apirequest.NamespaceValue(ctx)
	if err := validate(ctx, renumbering); err != nil {
		return nil, err
	}
	if v1.KeptByAPIServers(renumbering) {
		return nil, apierrors.NewForbidden(v1.Resource("services"), name,
			errors.New("the API servers keep its address, which Pods and certificates have"))
	}
	ranges, _ := claims.RangeResource(renumbering.Spec.Kind)
	if err := r.authorize(ctx, renumbering, ranges); err != nil {
		return nil, err
	}
	if !r.synced() {
		return nil, apierrors.NewServiceUnavailable("the allocation index is not complete yet; try again")
	}
	state := requeststate.From(ctx)
	state.Move = &requeststate.Move{Ranges: ranges, From: renumbering.Spec.From, To: renumbering.Spec.To}
	update := &renumbered{preconditions: renumbering.Spec.Preconditions, ledger: r.ledger}
	_, _, err := r.services.Update(requeststate.With(ctx, state), name, update, rest.ValidateAllObjectFunc,
		rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{DryRun: options.DryRun})
	if err != nil {
		return nil, err
	}
	return &v1.Renumbering{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: renumbering.Namespace},
		Spec:       renumbering.Spec, Status: v1.RenumberingStatus{Moves: update.moves},
	}, nil
}

// validateRenumbering checks a Renumbering of the Service of a name.
func validateRenumbering(renumbering *v1.Renumbering, name string) field.ErrorList {
	spec, path := renumbering.Spec, field.NewPath("spec")
	var errs field.ErrorList
	if renumbering.Name != "" && renumbering.Name != name {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), renumbering.Name, "must be the name of the Service"))
	}
	if _, known := claims.RangeResource(spec.Kind); !known {
		errs = append(errs, field.NotSupported(path.Child("kind"), spec.Kind, claims.RangeKinds()))
	}
	errs = append(errs, validateRangeName(path.Child("from"), spec.From)...)
	errs = append(errs, validateRangeName(path.Child("to"), spec.To)...)
	if spec.From == spec.To && spec.To != "" {
		errs = append(errs, field.Invalid(path.Child("to"), spec.To, "must be another range than spec.from"))
	}
	return errs
}

func validateRangeName(path *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "the name of a range")}
	}
	return validation.Invalid(path, name, apivalidation.NameIsDNSSubdomain(name, false))
}

// authorize returns an error unless the caller may update the Service and both ranges.
func (r *Renumber) authorize(ctx context.Context, renumbering *v1.Renumbering, ranges string) error {
	who, ok := apirequest.UserFrom(ctx)
	if !ok {
		return apierrors.NewUnauthorized("the request has no user")
	}
	for _, object := range []authorizer.AttributesRecord{
		{Resource: "services", Namespace: renumbering.Namespace, Name: renumbering.Name},
		{Resource: ranges, Name: renumbering.Spec.From},
		{Resource: ranges, Name: renumbering.Spec.To},
	} {
		object.User, object.Verb, object.ResourceRequest = who, "update", true
		object.APIGroup, object.APIVersion = v1.SchemeGroupVersion.Group, v1.SchemeGroupVersion.Version
		decision, reason, err := r.authorizer.Authorize(ctx, object)
		if decision == authorizer.DecisionAllow {
			continue
		}
		if err != nil {
			return apierrors.NewInternalError(err)
		}
		return responsewriters.ForbiddenStatusError(object, reason)
	}
	return nil
}

// renumbered makes the Service with the new values out of the stored one, in each attempt of
// an update.
type renumbered struct {
	preconditions *metav1.Preconditions
	ledger        *claims.Ledger
	// moves are those of the last attempt.
	moves []v1.ValueMove
}

var _ rest.UpdatedObjectInfo = &renumbered{}

// Preconditions implements rest.UpdatedObjectInfo.
func (u *renumbered) Preconditions() *metav1.Preconditions { return u.preconditions }

// UpdatedObject implements rest.UpdatedObjectInfo.
func (u *renumbered) UpdatedObject(ctx context.Context, stored runtime.Object) (runtime.Object, error) {
	svc, ok := stored.DeepCopyObject().(*v1.Service)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("a Service was expected, not %T", stored))
	}
	var err error
	u.moves, err = u.ledger.Renumber(ctx, svc)
	return svc, err
}

// renumberStrategy has no rules: the server itself has made the new object of the stored one.
type renumberStrategy struct {
	generic.DefaultStrategy
}

var _ rest.RESTUpdateStrategy = renumberStrategy{}

func (renumberStrategy) NamespaceScoped() bool { return true }

func (renumberStrategy) PrepareForUpdate(_ context.Context, _, _ runtime.Object) {}

func (renumberStrategy) ValidateUpdate(_ context.Context, _, _ runtime.Object) field.ErrorList {
	return nil
}
