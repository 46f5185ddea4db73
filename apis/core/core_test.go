package core_test

import (
	"math/rand"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	"k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/randfill"

	"github.com/portolan-dev/portolan/apis/core"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework/fuzzing"
)

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(v1.AddToScheme(scheme))
	utilruntime.Must(core.AddToScheme(scheme))
	return scheme
}

// shown removes the fields that the core API groups do not have. These functions replace
// those of fuzzing.Defaulted, so kinds with defaults apply them here.
func shown(scheme *runtime.Scheme) fuzzer.FuzzerFuncs {
	return func(serializer.CodecFactory) []any {
		return []any{
			func(namespace *corev1.Namespace, c randfill.Continue) {
				c.FillNoCustom(namespace)
				scheme.Default(namespace)
				core.LabelNamespace(namespace)
			},
			func(node *corev1.Node, c randfill.Continue) {
				c.FillNoCustom(node)
				// An empty value decodes as nil, which gets a default.
				if len(node.Status.Allocatable) == 0 {
					node.Status.Allocatable = nil
				}
				scheme.Default(node)
			},
			func(cidr *v1.ServiceCIDR, c randfill.Continue) {
				c.FillNoCustom(cidr)
				cidr.Spec = v1.ServiceCIDRSpec{CIDRs: cidr.Spec.CIDRs}
				cidr.Status.CIDRs = nil
			},
			func(ref *v1.ParentReference, c randfill.Continue) {
				c.FillNoCustom(ref)
				ref.UID = ""
			},
		}
	}
}

// TestRoundTrip converts objects to upstream's types and back.
func TestRoundTrip(t *testing.T) {
	scheme := newScheme()
	codecs := serializer.NewCodecFactory(scheme)
	fuzz := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(fuzzing.Defaulted(scheme), metafuzzer.Funcs, shown(scheme)),
		rand.NewSource(rand.Int63()), codecs)
	roundtrip.RoundTripTypes(t, scheme, codecs, fuzz, nil)
}

// TestHolder wants the holder of an address as upstream names it, without other fields.
func TestHolder(t *testing.T) {
	scheme := newScheme()
	for _, test := range []struct {
		name string
		held *v1.ParentReference
		want *networkingv1.ParentReference
	}{
		{"none", nil, nil},
		{
			"a Service", &v1.ParentReference{Group: v1.GroupName, Resource: "services", Namespace: "a", Name: "b", UID: "u"},
			&networkingv1.ParentReference{Resource: "services", Namespace: "a", Name: "b"},
		},
		{
			"a Service of the cluster's", &v1.ParentReference{Resource: "services", Namespace: "a", Name: "b"},
			&networkingv1.ParentReference{Resource: "services", Namespace: "a", Name: "b"},
		},
		{
			"something that upstream doesn't have", &v1.ParentReference{Group: v1.GroupName, Resource: "nodeports", Name: "b"},
			&networkingv1.ParentReference{Group: v1.GroupName, Resource: "nodeports", Name: "b"},
		},
		{
			"somebody else's", &v1.ParentReference{Group: "gateway.networking.k8s.io", Resource: "services", Name: "b"},
			&networkingv1.ParentReference{Group: "gateway.networking.k8s.io", Resource: "services", Name: "b"},
		},
	} {
		out, err := scheme.ConvertToVersion(&v1.IPAddress{Spec: v1.IPAddressSpec{ParentRef: test.held}}, networkingv1.SchemeGroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		if got := out.(*networkingv1.IPAddress).Spec.ParentRef; !equality.Semantic.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

// TestLists wants empty lists to stay empty instead of nil, and items not to be copied.
func TestLists(t *testing.T) {
	scheme := newScheme()
	for name, list := range map[string]*v1.ServiceList{
		"none":  {},
		"empty": {Items: []v1.Service{}},
		"two": {ListMeta: metav1.ListMeta{ResourceVersion: "7"}, Items: []v1.Service{
			{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"a": "b"}}}, {ObjectMeta: metav1.ObjectMeta{Name: "b"}},
		}},
	} {
		converted, err := runtime.UnsafeObjectConvertor(scheme).ConvertToVersion(list, corev1.SchemeGroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		got := converted.(*corev1.ServiceList)
		if (got.Items == nil) != (list.Items == nil) || len(got.Items) != len(list.Items) || got.ResourceVersion != list.ResourceVersion {
			t.Errorf("%s: got %+v", name, got)
		}
		for i := range got.Items {
			if got.Items[i].Name != list.Items[i].Name || !equality.Semantic.DeepEqual(got.Items[i].Labels, list.Items[i].Labels) {
				t.Errorf("%s: item %d is %+v", name, i, got.Items[i])
			}
		}
	}
}

// TestFirst wants an error for a scheme in which the types would be stored in another
// group.
func TestFirst(t *testing.T) {
	if err := core.AddToScheme(runtime.NewScheme()); err == nil {
		t.Error("the core API groups' kinds came first")
	}
	kinds, _, err := newScheme().ObjectKinds(&v1.Service{})
	if err != nil || kinds[0].Group != v1.GroupName {
		t.Errorf("error %v, a Service is %v", err, kinds)
	}
}
