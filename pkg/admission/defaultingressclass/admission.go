// Package defaultingressclass is the admission plugin DefaultIngressClass. It gives a new
// Ingress without a class the class that is marked as the default.
//
// The rule is upstream's (plugin/pkg/admission/network/defaultingressclass).
package defaultingressclass

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/client-go/informers"
	listers "k8s.io/client-go/listers/networking/v1"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/apis/core/validation"
)

// PluginName is the plugin's name on the command line, upstream's.
const PluginName = "DefaultIngressClass"

// Register registers the plugin.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin fills in the class of new Ingresses.
type Plugin struct {
	*admission.Handler
	classes listers.IngressClassLister
}

var (
	_ admission.MutationInterface                  = &Plugin{}
	_ initializer.WantsExternalKubeInformerFactory = &Plugin{}
)

// New makes the plugin.
func New() *Plugin { return &Plugin{Handler: admission.NewHandler(admission.Create)} }

// SetExternalKubeInformerFactory implements
// initializer.WantsExternalKubeInformerFactory.
func (p *Plugin) SetExternalKubeInformerFactory(factory informers.SharedInformerFactory) {
	classes := factory.Networking().V1().IngressClasses()
	p.classes = classes.Lister()
	p.SetReadyFunc(classes.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.classes == nil {
		return errors.New("the plugin has no lister of IngressClasses")
	}
	return nil
}

// Admit sets the default class, if there is one, in an Ingress that names none in its
// spec or in the older annotation.
func (p *Plugin) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != networkingv1.Resource("ingresses") || a.GetSubresource() != "" {
		return nil
	}
	ingress, ok := a.GetObject().(*networkingv1.Ingress)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("an Ingress was expected, not %T", a.GetObject()))
	}
	if _, annotated := ingress.Annotations[validation.AnnotationIngressClass]; annotated || ingress.Spec.IngressClassName != nil {
		return nil
	}
	if !p.WaitForReady() {
		return apierrors.NewServiceUnavailable("the ingress classes are not known yet; try again")
	}
	classes, err := p.classes.List(labels.Everything())
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	classes = slices.DeleteFunc(classes, func(class *networkingv1.IngressClass) bool {
		return class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] != "true"
	})
	if len(classes) == 0 {
		return nil
	}
	class := slices.MinFunc(classes, newerFirst)
	ingress.Spec.IngressClassName = ptr.To(class.Name)
	return nil
}

// newerFirst sorts classes of the same time by name.
func newerFirst(a, b *networkingv1.IngressClass) int {
	return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}
