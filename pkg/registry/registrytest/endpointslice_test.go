package registrytest

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/registry/endpointslice"
)

func newSlice() *v1.EndpointSlice {
	return &v1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "web-1", Namespace: "default"},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses:          []string{"192.0.2.1"},
			DeprecatedTopology: map[string]string{corev1.LabelHostname: "n1"},
		}},
	}
}

func TestEndpointSliceGeneration(t *testing.T) {
	store, _ := newStore(t, "endpointslices", registry.Inputs{})
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	ctx := request.WithNamespace(t.Context(), "default")
	update := func(slice *v1.EndpointSlice) (*v1.EndpointSlice, error) {
		t.Helper()
		got, created, err := store.Update(ctx, slice.Name, rest.DefaultUpdatedObjectInfo(slice),
			rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		if created {
			t.Error("an update created the slice")
		}
		if err != nil {
			return nil, err
		}
		return got.(*v1.EndpointSlice), nil
	}

	if _, err := update(newSlice()); !apierrors.IsNotFound(err) {
		t.Errorf("an update of a missing slice: %v", err)
	}
	obj, err := store.Create(ctx, newSlice(), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	slice := obj.(*v1.EndpointSlice)
	if slice.Generation != 1 || slice.Endpoints[0].DeprecatedTopology != nil || slice.Endpoints[0].NodeName != nil {
		t.Errorf("created %+v", slice)
	}

	for _, step := range []struct {
		name   string
		change func(*v1.EndpointSlice)
		want   int64
	}{
		{"annotations", func(s *v1.EndpointSlice) { s.Annotations = map[string]string{"a": "b"} }, 1},
		{"labels", func(s *v1.EndpointSlice) { s.Labels = map[string]string{"a": "b"} }, 2},
		{"endpoints", func(s *v1.EndpointSlice) { s.Endpoints[0].Zone = ptr.To("z") }, 3},
		{"ports", func(s *v1.EndpointSlice) { s.Ports = []discoveryv1.EndpointPort{{}} }, 4},
		{"nothing", func(*v1.EndpointSlice) {}, 4},
		{"a generation of the client's", func(s *v1.EndpointSlice) { s.Generation = 9 }, 4},
	} {
		changed := slice.DeepCopy()
		step.change(changed)
		scheme.Default(changed)
		if slice, err = update(changed); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if slice.Generation != step.want {
			t.Errorf("after a change of %s: generation %d, want %d", step.name, slice.Generation, step.want)
		}
	}

	changed := slice.DeepCopy()
	changed.AddressType = discoveryv1.AddressTypeFQDN
	if _, err := update(changed); !apierrors.IsInvalid(err) {
		t.Errorf("a change of the address type: %v", err)
	}
}

// TestEndpointSliceTopologyIsDropped updates slices whose topology names a node, as older servers
// stored them.
func TestEndpointSliceTopologyIsDropped(t *testing.T) {
	stored := newSlice()
	for name, tc := range map[string]struct {
		change   func(*discoveryv1.Endpoint)
		nodeName *string
		kept     map[string]string
	}{
		"unchanged":          {func(*discoveryv1.Endpoint) {}, nil, stored.Endpoints[0].DeprecatedTopology},
		"changed":            {func(e *discoveryv1.Endpoint) { e.Zone = ptr.To("z") }, ptr.To("n1"), nil},
		"has a node already": {func(e *discoveryv1.Endpoint) { e.NodeName = ptr.To("n2") }, ptr.To("n2"), nil},
		"another node":       {func(e *discoveryv1.Endpoint) { e.DeprecatedTopology = map[string]string{corev1.LabelHostname: "n2"} }, nil, nil},
		"something else":     {func(e *discoveryv1.Endpoint) { e.DeprecatedTopology = map[string]string{"a": "b"} }, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			slice := newSlice()
			tc.change(&slice.Endpoints[0])
			endpointslice.Rules(nil, nil).Strategy.PrepareForUpdate(t.Context(), slice, stored)
			got := slice.Endpoints[0]
			if ptr.Deref(got.NodeName, "") != ptr.Deref(tc.nodeName, "") || !maps.Equal(got.DeprecatedTopology, tc.kept) {
				t.Errorf("node %v, topology %v", got.NodeName, got.DeprecatedTopology)
			}
		})
	}
}

func TestEndpointSliceTable(t *testing.T) {
	port := func(number int32) discoveryv1.EndpointPort { return discoveryv1.EndpointPort{Port: &number} }
	at := func(addresses ...string) discoveryv1.Endpoint { return discoveryv1.Endpoint{Addresses: addresses} }
	for name, tc := range map[string]struct {
		ports         []discoveryv1.EndpointPort
		endpoints     []discoveryv1.Endpoint
		want, wantEnd string
	}{
		"empty":       {nil, nil, "<unset>", "<unset>"},
		"one":         {[]discoveryv1.EndpointPort{port(80)}, []discoveryv1.Endpoint{at("1.1.1.1")}, "80", "1.1.1.1"},
		"any":         {[]discoveryv1.EndpointPort{{}}, []discoveryv1.Endpoint{at("1.1.1.1")}, "*", "1.1.1.1"},
		"named":       {[]discoveryv1.EndpointPort{{Name: ptr.To("http")}, port(80)}, nil, "http,80", "<unset>"},
		"named empty": {[]discoveryv1.EndpointPort{{Name: ptr.To("")}}, nil, "<unset>", "<unset>"},
		"many": {[]discoveryv1.EndpointPort{port(1), port(2), port(3), port(4), port(5)},
			[]discoveryv1.Endpoint{at("1.1.1.1", "2.2.2.2"), at("3.3.3.3", "4.4.4.4"), at("5.5.5.5")},
			"1,2,3 + 2 more...", "1.1.1.1,2.2.2.2,3.3.3.3 + 2 more..."},
	} {
		t.Run(name, func(t *testing.T) {
			slice := &v1.EndpointSlice{AddressType: "IPv4", Ports: tc.ports, Endpoints: tc.endpoints}
			table, err := endpointslice.TableConvertor.ConvertToTable(t.Context(), slice, nil)
			if err != nil {
				t.Fatal(err)
			}
			cells := table.Rows[0].Cells
			if len(cells) != len(table.ColumnDefinitions) || cells[1] != "IPv4" || cells[2] != tc.want || cells[3] != tc.wantEnd {
				t.Errorf("got %q", cells)
			}
		})
	}
}
