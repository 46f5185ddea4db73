package registrytest

import (
	"fmt"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/registry/ingressclass"
)

// TestIngressClassTable checks all cells except the age.
func TestIngressClassTable(t *testing.T) {
	class := func(mark string, parameters *networkingv1.IngressClassParametersReference) networkingv1.IngressClass {
		return networkingv1.IngressClass{
			ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: mark}},
			Spec:       networkingv1.IngressClassSpec{Controller: "example.com/a", Parameters: parameters},
		}
	}
	for want, class := range map[string]networkingv1.IngressClass{
		"a|example.com/a|<none>":           class("yes", nil),
		"a (default)|example.com/a|<none>": class("true", nil),
		"a|example.com/a|Config/b":         class("", &networkingv1.IngressClassParametersReference{Kind: "Config", Name: "b"}),
		"a|example.com/a|Config.k8s.example.com/b": class("",
			&networkingv1.IngressClassParametersReference{APIGroup: ptr.To("k8s.example.com"), Kind: "Config", Name: "b"}),
	} {
		cells := cellsOf(t, ingressclass.TableConvertor, &class)
		if got := fmt.Sprintf("%s|%s|%s", cells[:3]...); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
