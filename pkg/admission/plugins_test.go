package admission

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/admission/clusterip"
	"github.com/portolan-dev/portolan/pkg/admission/denyserviceexternalips"
	"github.com/portolan-dev/portolan/pkg/admission/initializer"
	"github.com/portolan-dev/portolan/pkg/admission/loadbalancer"
	"github.com/portolan-dev/portolan/pkg/admission/nodeport"
	"github.com/portolan-dev/portolan/pkg/admission/serviceports"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

func TestOrderNamesEveryPlugin(t *testing.T) {
	o := NewOptions()
	if order, registered := sets.New(Order...), sets.New(o.Plugins.Registered()...); !order.Equal(registered) || order.Len() != len(Order) {
		t.Errorf("the order is %v, registered are %v", Order, o.Plugins.Registered())
	}
	if !slices.Equal(o.RecommendedPluginOrder, Order) {
		t.Errorf("recommended: %v", o.RecommendedPluginOrder)
	}
	if errs := o.Validate(); len(errs) > 0 {
		t.Errorf("not valid: %v", errs)
	}
	own := sets.New(clusterip.PluginName, nodeport.PluginName, loadbalancer.PluginName, serviceports.PluginName,
		denyserviceexternalips.PluginName)
	if got := sets.New(Order...).Difference(RequireCluster()).Difference(RequireCoreAPI()); !got.Equal(own) {
		t.Errorf("without a cluster: %v", got)
	}
}

func services() map[string]interface {
	admission.Interface
	initializer.WantsLedger
} {
	return map[string]interface {
		admission.Interface
		initializer.WantsLedger
	}{
		clusterip.PluginName: clusterip.New(), nodeport.PluginName: nodeport.New(), serviceports.PluginName: serviceports.New(),
		loadbalancer.PluginName: loadbalancer.New(),
	}
}

func run(ctx context.Context, plugin admission.Interface, a admission.Attributes) error {
	if mutating, ok := plugin.(admission.MutationInterface); ok {
		return mutating.Admit(ctx, a, nil)
	}
	return plugin.(admission.ValidationInterface).Validate(ctx, a, nil)
}

type request struct {
	resource    schema.GroupResource
	subresource string
	operation   admission.Operation
	object, old runtime.Object
}

func (r request) attributes() admission.Attributes {
	return admission.NewAttributesRecord(r.object, r.old, v1.SchemeGroupVersion.WithKind("Service"), "default", "web",
		r.resource.WithVersion("v1"), r.subresource, r.operation, &metav1.CreateOptions{}, false, nil)
}

func nodePortService() *v1.Service {
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{
			{Port: 80, Protocol: corev1.ProtocolTCP},
			{Port: 80, Protocol: corev1.ProtocolTCP},
		}},
	}
}

func TestVerbs(t *testing.T) {
	for name, plugin := range services() {
		for operation, want := range map[admission.Operation]bool{admission.Create: true, admission.Update: true, admission.Delete: false,
			admission.Connect: false} {
			if got := plugin.Handles(operation); got != want {
				t.Errorf("%s handles %s: %v", name, operation, got)
			}
		}
	}
}

// A request that doesn't write the spec of a Service passes unchanged and doesn't wait
// for the index.
func TestOtherRequestsPass(t *testing.T) {
	for name, plugin := range services() {
		plugin.SetLedger(&claims.Ledger{Index: allocation.New(time.Now)}, func() bool { return false })
		for what, r := range map[string]request{
			"status":    {v1.Resource("services"), "status", admission.Update, nodePortService(), nodePortService()},
			"a claim":   {v1.Resource("ipaddresses"), "", admission.Create, &v1.IPAddress{}, nil},
			"endpoints": {v1.Resource("endpoints"), "", admission.Update, &v1.Endpoints{}, &v1.Endpoints{}},
			"another group's Service": {
				schema.GroupResource{Group: "serving.example", Resource: "services"}, "", admission.Create, nodePortService(), nil,
			},
		} {
			attributes := r.attributes()
			if err := run(t.Context(), plugin, attributes); err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if svc, ok := attributes.GetObject().(*v1.Service); ok && (svc.Spec.ClusterIP != "" || svc.Spec.Ports[0].NodePort != 0) {
				t.Errorf("%s changed %s", name, what)
			}
		}
	}
}

func TestWrongObject(t *testing.T) {
	for name, plugin := range services() {
		r := request{v1.Resource("services"), "", admission.Create, &v1.IPAddress{}, nil}
		if err := run(t.Context(), plugin, r.attributes()); !apierrors.IsBadRequest(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLedgerIsWanted(t *testing.T) {
	ledger := &claims.Ledger{Index: allocation.New(time.Now)}
	for name, plugin := range services() {
		if err := plugin.ValidateInitialization(); err == nil {
			t.Errorf("%s does without a ledger", name)
		}
		initializer.New(ledger, func() bool { return true }, nil).Initialize(plugin)
		if err := plugin.ValidateInitialization(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	// The wait is shared code, and takes ten seconds.
	plugin := serviceports.New()
	plugin.SetLedger(&claims.Ledger{Index: allocation.New(time.Now)}, func() bool { return false })
	r := request{v1.Resource("services"), "", admission.Create, nodePortService(), nil}
	err := run(t.Context(), plugin, r.attributes())
	status, ok := err.(apierrors.APIStatus)
	if !ok || status.Status().Code != http.StatusServiceUnavailable {
		t.Errorf("got %v", err)
	}
}

// rejection returns a plugin's rejection of a Service.
func rejection(t *testing.T, plugin admission.Interface, r request) string {
	t.Helper()
	ctx, picks := requeststate.NewPicks(t.Context(), allocation.New(time.Now))
	defer picks.End()
	if err := run(ctx, plugin, r.attributes()); err != nil {
		t.Fatal(err)
	}
	if cause := picks.Rejection(); cause != nil {
		return cause.Error()
	}
	return ""
}

func TestNothingToPickFrom(t *testing.T) {
	plugin := nodeport.New()
	plugin.SetLedger(&claims.Ledger{Index: allocation.New(time.Now)}, func() bool { return true })
	const want = "spec.ports[0].nodePort: Invalid value: 0: failed to allocate a nodePort: there is no range to pick an automatic value (Port) from"
	if got := rejection(t, plugin, request{v1.Resource("services"), "", admission.Create, nodePortService(), nil}); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestServicePortsKnowsRanges(t *testing.T) {
	plugin := serviceports.New()
	plugin.SetLedger(&claims.Ledger{Index: allocation.New(time.Now)}, func() bool { return true })
	svc := nodePortService()
	svc.Spec.Ports[0].NodePort = 99
	const want = "spec.ports[0].nodePort: Invalid value: 99: provided port is not in the valid range"
	if got := rejection(t, plugin, request{v1.Resource("services"), "", admission.Create, svc, nil}); !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// A port that the Service holds already is not checked again.
	if got := rejection(t, plugin, request{v1.Resource("services"), "", admission.Update, svc, svc.DeepCopy()}); got != "" {
		t.Errorf("got %q", got)
	}
}
