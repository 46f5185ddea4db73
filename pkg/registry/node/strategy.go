// Package node is the registry of Nodes. Endpoints get their zones from them, and
// kube-proxy finds out which endpoints are local. Portolan does not manage Nodes.
package node

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apigeneric "k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/portolan-dev/portolan/apis/core/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy  = strategy{}
	_ rest.RESTUpdateStrategy  = strategy{}
	_ rest.RESTDeleteStrategy  = strategy{}
	_ rest.ResetFieldsStrategy = strategy{}
)

// strategy follows upstream's nodeStrategy (pkg/registry/core/node).
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of Nodes.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	main := strategy{generic.NewDefaultStrategy(typer)}
	return generic.Rules{Strategy: main, Status: statusStrategy{main}}
}

func (strategy) NamespaceScoped() bool { return false }

func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetCoreFields(fieldpath.MakePathOrDie("status"))
}

// PrepareForCreate keeps the status, because a kubelet registers its Node with the
// status in one request.
func (strategy) PrepareForCreate(context.Context, runtime.Object) {}

func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Node).Status = old.(*corev1.Node).Status
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateNode(obj.(*corev1.Node))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	node := obj.(*corev1.Node)
	return append(validation.ValidateNode(node), validation.ValidateNodeUpdate(node, old.(*corev1.Node))...)
}

// statusStrategy follows upstream's nodeStatusStrategy.
type statusStrategy struct {
	strategy
}

func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetCoreFields(fieldpath.MakePathOrDie("spec"))
}

func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Node).Spec = old.(*corev1.Node).Spec
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateNodeUpdate(obj.(*corev1.Node), old.(*corev1.Node))
}

// Attributes returns the labels and fields that select Nodes.
func Attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	node, ok := obj.(*corev1.Node)
	if !ok {
		return nil, nil, fmt.Errorf("not a Node: %T", obj)
	}
	set := apigeneric.ObjectMetaFieldsSet(&node.ObjectMeta, false)
	set["spec.unschedulable"] = strconv.FormatBool(node.Spec.Unschedulable)
	return node.Labels, set, nil
}
