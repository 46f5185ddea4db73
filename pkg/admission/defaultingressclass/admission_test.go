package defaultingressclass

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
)

// newPlugin knows the given classes.
func newPlugin(t *testing.T, classes ...*networkingv1.IngressClass) *Plugin {
	t.Helper()
	var objects []runtime.Object
	for _, class := range classes {
		objects = append(objects, class)
	}
	factory := informers.NewSharedInformerFactory(fake.NewClientset(objects...), 0)
	plugin := New()
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

func class(name, mark string, second int64) *networkingv1.IngressClass {
	return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{
		Name: name, CreationTimestamp: metav1.NewTime(time.Unix(second, 0)), Annotations: map[string]string{
			networkingv1.AnnotationIsDefaultIngressClass: mark,
		},
	}}
}

func attributes(resource schema.GroupResource, subresource string, object runtime.Object) admission.Attributes {
	return admission.NewAttributesRecord(object, nil, networkingv1.SchemeGroupVersion.WithKind("Ingress"), "default", "web",
		resource.WithVersion("v1"), subresource, admission.Create, &metav1.CreateOptions{}, false, nil)
}

// TestAdmit checks which class an Ingress gets.
func TestAdmit(t *testing.T) {
	none := []*networkingv1.IngressClass{class("a", "", 1), class("b", "yes", 1)}
	one := append(none, class("c", "true", 1))
	several := append(one, class("e", "true", 2), class("d", "true", 2), class("f", "false", 3))
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
		plugin := newPlugin(t, test.classes...)
		if err := plugin.Admit(t.Context(), attributes(test.resource, test.subresource, &test.ingress), nil); err != nil {
			t.Fatal(err)
		}
		if got := test.ingress.Spec.IngressClassName; !ptr.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, ptr.Deref(got, "none"), ptr.Deref(test.want, "none"))
		}
	}
}

// TestOthers checks requests that the plugin doesn't handle, or can't.
func TestOthers(t *testing.T) {
	plugin := newPlugin(t)
	if !plugin.Handles(admission.Create) || plugin.Handles(admission.Update) {
		t.Error("only new Ingresses get a class")
	}
	if err := plugin.Admit(t.Context(), attributes(networkingv1.Resource("ingresses"), "", &corev1.Pod{}), nil); !apierrors.IsBadRequest(err) {
		t.Errorf("a Pod: %v", err)
	}
}
