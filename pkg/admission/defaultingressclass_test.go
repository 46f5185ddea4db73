package admission

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/apis/core/validation"
	"github.com/portolan-dev/portolan/pkg/admission/defaultingressclass"
)

// newDefaultIngressClass knows the given classes.
func newDefaultIngressClass(t *testing.T, classes ...*networkingv1.IngressClass) *defaultingressclass.Plugin {
	t.Helper()
	var objects []runtime.Object
	for _, class := range classes {
		objects = append(objects, class)
	}
	factory := informers.NewSharedInformerFactory(fake.NewClientset(objects...), 0)
	plugin := defaultingressclass.New()
	if err := plugin.ValidateInitialization(); err == nil {
		t.Error("the plugin does without a lister")
	}
	plugin.SetExternalKubeInformerFactory(factory)
	if err := plugin.ValidateInitialization(); err != nil {
		t.Error(err)
	}
	factory.StartWithContext(t.Context())
	factory.WaitForCacheSync(t.Context().Done())
	return plugin
}

func ingressClass(name, mark string, second int64) *networkingv1.IngressClass {
	return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{
		Name: name, CreationTimestamp: metav1.NewTime(time.Unix(second, 0)), Annotations: map[string]string{
			networkingv1.AnnotationIsDefaultIngressClass: mark,
		},
	}}
}

func ofIngress(resource schema.GroupResource, subresource string, object runtime.Object) admission.Attributes {
	return admission.NewAttributesRecord(object, nil, networkingv1.SchemeGroupVersion.WithKind("Ingress"), "default", "web",
		resource.WithVersion("v1"), subresource, admission.Create, &metav1.CreateOptions{}, false, nil)
}

// TestDefaultIngressClass checks which class an Ingress gets.
func TestDefaultIngressClass(t *testing.T) {
	none := []*networkingv1.IngressClass{ingressClass("a", "", 1), ingressClass("b", "yes", 1)}
	one := append(none, ingressClass("c", "true", 1))
	several := append(one, ingressClass("e", "true", 2), ingressClass("d", "true", 2), ingressClass("f", "false", 3))
	ingresses := networkingv1.Resource("ingresses")
	for name, test := range map[string]struct {
		classes     []*networkingv1.IngressClass
		resource    schema.GroupResource
		subresource string
		ingress     networkingv1.Ingress
		want        *string
	}{
		"no default":     {none, ingresses, "", networkingv1.Ingress{}, nil},
		"a default":      {one, ingresses, "", networkingv1.Ingress{}, ptr.To("c")},
		"the newest":     {several, ingresses, "", networkingv1.Ingress{}, ptr.To("d")},
		"one of its own": {one, ingresses, "", networkingv1.Ingress{Spec: networkingv1.IngressSpec{IngressClassName: ptr.To("a")}}, ptr.To("a")},
		"annotated": {one, ingresses, "",
			networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{validation.AnnotationIngressClass: ""}}}, nil},
		"a status":     {one, ingresses, "status", networkingv1.Ingress{}, nil},
		"another's":    {one, schema.GroupResource{Group: "extensions", Resource: "ingresses"}, "", networkingv1.Ingress{}, nil},
		"another kind": {one, corev1.Resource("services"), "", networkingv1.Ingress{}, nil},
	} {
		plugin := newDefaultIngressClass(t, test.classes...)
		if err := plugin.Admit(t.Context(), ofIngress(test.resource, test.subresource, &test.ingress), nil); err != nil {
			t.Fatal(err)
		}
		if got := test.ingress.Spec.IngressClassName; !ptr.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, ptr.Deref(got, "none"), ptr.Deref(test.want, "none"))
		}
	}
}

// TestDefaultIngressClassOfOthers checks requests that the plugin doesn't handle, or can't.
func TestDefaultIngressClassOfOthers(t *testing.T) {
	plugin := newDefaultIngressClass(t)
	if !plugin.Handles(admission.Create) || plugin.Handles(admission.Update) {
		t.Error("only new Ingresses get a class")
	}
	if err := plugin.Admit(t.Context(), ofIngress(networkingv1.Resource("ingresses"), "", &corev1.Pod{}), nil); !apierrors.IsBadRequest(err) {
		t.Errorf("a Pod: %v", err)
	}
}
