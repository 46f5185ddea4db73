// Package event is the registry of Events. Core v1 and events.k8s.io serve them from one
// store, and they expire.
package event

import (
	"cmp"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	apigeneric "k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/apis/core/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy              = strategy{}
	_ rest.RESTUpdateStrategy              = strategy{}
	_ rest.GarbageCollectionDeleteStrategy = strategy{}
)

// strategy follows upstream's eventStrategy (pkg/registry/core/event).
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of Events. An Event expires in etcd ttl after its last write.
func Rules(typer runtime.ObjectTyper, ttl time.Duration) generic.Rules {
	return generic.Rules{Strategy: strategy{generic.NewDefaultStrategy(typer)}, TTL: ttl}
}

// DefaultGarbageCollectionPolicy implements rest.GarbageCollectionDeleteStrategy. An
// Event owns no objects.
func (strategy) DefaultGarbageCollectionPolicy(context.Context) rest.GarbageCollectionPolicy {
	return rest.Unsupported
}

func (strategy) NamespaceScoped() bool { return true }

func (strategy) PrepareForCreate(context.Context, runtime.Object) {}

func (strategy) PrepareForUpdate(_ context.Context, _, _ runtime.Object) {}

// isStrict reports whether a request is for events.k8s.io, which validates Events more
// strictly than core v1.
func isStrict(ctx context.Context) bool {
	info, known := request.RequestInfoFrom(ctx)
	return known && info.APIGroup == eventsv1.GroupName
}

func (strategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateEvent(obj.(*corev1.Event), isStrict(ctx))
}

func (strategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateEventUpdate(obj.(*corev1.Event), old.(*corev1.Event), isStrict(ctx))
}

func (strategy) AllowCreateOnUpdate(context.Context) bool { return true }

// Attributes returns the labels and fields that select Events, by their names in core v1.
func Attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	event, ok := obj.(*corev1.Event)
	if !ok {
		return nil, nil, fmt.Errorf("not an Event: %T", obj)
	}
	set := apigeneric.ObjectMetaFieldsSet(&event.ObjectMeta, true)
	about := &event.InvolvedObject
	set["involvedObject.kind"] = about.Kind
	set["involvedObject.namespace"] = about.Namespace
	set["involvedObject.name"] = about.Name
	set["involvedObject.uid"] = string(about.UID)
	set["involvedObject.apiVersion"] = about.APIVersion
	set["involvedObject.resourceVersion"] = about.ResourceVersion
	set["involvedObject.fieldPath"] = about.FieldPath
	set["reason"] = event.Reason
	set["reportingComponent"] = event.ReportingController
	set["source"] = cmp.Or(event.Source.Component, event.ReportingController)
	set["type"] = event.Type
	return event.Labels, set, nil
}
