package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/admission/denyserviceexternalips"
)

func withExternalIPs(addresses ...string) *v1.Service {
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.ServiceSpec{ExternalIPs: addresses},
	}
}

func TestDenyServiceExternalIPs(t *testing.T) {
	const denied = `services.portolan.dev "web" is forbidden: Use of external IPs is denied by admission control`
	services := v1.Resource("services")
	for name, test := range map[string]struct {
		resource    schema.GroupResource
		subresource string
		after       runtime.Object
		before      *v1.Service
		want        string
	}{
		"create with none":    {services, "", withExternalIPs(), nil, ""},
		"create with one":     {services, "", withExternalIPs("192.0.2.1"), nil, denied},
		"the first on update": {services, "", withExternalIPs("192.0.2.1"), withExternalIPs(), denied},
		"one more on update":  {services, "", withExternalIPs("192.0.2.1", "192.0.2.2"), withExternalIPs("192.0.2.1"), denied},
		"another on update":   {services, "", withExternalIPs("192.0.2.2"), withExternalIPs("192.0.2.1"), denied},
		"another notation":    {services, "", withExternalIPs("2001:db8::0"), withExternalIPs("2001:db8::"), denied},
		"the same on update":  {services, "", withExternalIPs("192.0.2.1"), withExternalIPs("192.0.2.1"), ""},
		"in another order": {
			services, "", withExternalIPs("192.0.2.2", "192.0.2.1"), withExternalIPs("192.0.2.1", "192.0.2.2"), "",
		},
		"twice what was there once": {services, "", withExternalIPs("192.0.2.1", "192.0.2.1"), withExternalIPs("192.0.2.1"), ""},
		"one less":                  {services, "", withExternalIPs("192.0.2.2"), withExternalIPs("192.0.2.1", "192.0.2.2"), ""},
		"all removed":               {services, "", withExternalIPs(), withExternalIPs("192.0.2.1"), ""},
		"the status":                {services, "status", withExternalIPs("192.0.2.1"), withExternalIPs(), ""},
		"another resource":          {v1.Resource("endpoints"), "", &v1.Endpoints{}, nil, ""},
		"another group's Service": {
			schema.GroupResource{Group: "serving.example", Resource: "services"}, "", withExternalIPs("192.0.2.1"), nil, "",
		},
		"something that isn't a Service": {services, "", &v1.IPAddress{}, nil, "a Service was expected, not *v1.IPAddress"},
	} {
		t.Run(name, func(t *testing.T) {
			operation, old := admission.Create, runtime.Object(nil)
			if test.before != nil {
				operation, old = admission.Update, test.before
			}
			got := ""
			attributes := admission.NewAttributesRecord(test.after, old, v1.SchemeGroupVersion.WithKind("Service"), "default", "web",
				test.resource.WithVersion("v1"), test.subresource, operation, nil, false, nil)
			if err := denyserviceexternalips.New().Validate(t.Context(), attributes, nil); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestVerbsOfDenyServiceExternalIPs(t *testing.T) {
	for operation, want := range map[admission.Operation]bool{admission.Create: true, admission.Update: true, admission.Delete: false,
		admission.Connect: false} {
		if got := denyserviceexternalips.New().Handles(operation); got != want {
			t.Errorf("handles %s: %v", operation, got)
		}
	}
}
