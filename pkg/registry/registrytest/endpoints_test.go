package registrytest

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/registry/endpoints"
)

func subset(ports []int32, ips ...string) corev1.EndpointSubset {
	var s corev1.EndpointSubset
	for _, ip := range ips {
		s.Addresses = append(s.Addresses, corev1.EndpointAddress{IP: ip})
	}
	for _, port := range ports {
		s.Ports = append(s.Ports, corev1.EndpointPort{Port: port, Protocol: "TCP"})
	}
	return s
}

func TestEndpointsPutCreatesAndKeepsOrder(t *testing.T) {
	store, _ := newStore(t, "endpoints", registry.Inputs{})
	ctx := request.WithNamespace(t.Context(), "default")

	sent := []corev1.EndpointSubset{subset([]int32{80}, "2.2.2.2", "1.1.1.1", "1.1.1.1")}
	for _, created := range []bool{true, false} {
		// Neither request has a resourceVersion, so the second is an unconditional update.
		endpoints := &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", Labels: map[string]string{}}, Subsets: sent}
		if !created {
			endpoints.Labels["a"] = "b"
		}
		got, wasCreated, err := store.Update(ctx, "web", rest.DefaultUpdatedObjectInfo(endpoints), rest.ValidateAllObjectFunc,
			rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		if err != nil || wasCreated != created {
			t.Fatalf("created %v, error %v", wasCreated, err)
		}
		addresses := got.(*v1.Endpoints).Subsets[0].Addresses
		if len(addresses) != 3 || addresses[0].IP != "2.2.2.2" || addresses[2].IP != "1.1.1.1" {
			t.Errorf("got %v", addresses)
		}
	}
}

func TestEndpointsResourceVersionsThatAreNone(t *testing.T) {
	store, _ := newStore(t, "endpoints", registry.Inputs{})
	ctx := request.WithNamespace(t.Context(), "default")
	versioned := func(version string) *v1.Endpoints {
		return &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", ResourceVersion: version}}
	}
	create := func(version string) error {
		_, err := store.Create(ctx, versioned(version), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		return err
	}
	update := func(version string) error {
		_, _, err := store.Update(ctx, "web", rest.DefaultUpdatedObjectInfo(versioned(version)), rest.ValidateAllObjectFunc,
			rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		return err
	}
	if err := create("5"); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata.resourceVersion: Forbidden") {
		t.Errorf("create with a version: %v", err)
	}
	if err := create("0"); err != nil {
		t.Errorf("create with the version of none: %v", err)
	}
	if err := update("x"); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata.resourceVersion: Invalid value") {
		t.Errorf("update with no version: %v", err)
	}
	if err := update("1"); !apierrors.IsConflict(err) {
		t.Errorf("update with an old version: %v", err)
	}
}

func TestEndpointsTable(t *testing.T) {
	notReady := corev1.EndpointSubset{NotReadyAddresses: []corev1.EndpointAddress{{IP: "9.9.9.9"}}, Ports: []corev1.EndpointPort{{Port: 80}}}
	for want, subsets := range map[string][]corev1.EndpointSubset{
		"<none>":                              nil,
		"":                                    {notReady},
		"1.1.1.1:80":                          {subset([]int32{80}, "1.1.1.1"), notReady},
		"1.1.1.1,2.2.2.2":                     {subset(nil, "1.1.1.1", "2.2.2.2")},
		"[fd00::1]:80,[fd00::1]:443":          {subset([]int32{80, 443}, "fd00::1")},
		"1.1.1.1,2.2.2.2,3.3.3.3":             {subset(nil, "1.1.1.1", "2.2.2.2", "3.3.3.3")},
		"1.1.1.1,2.2.2.2,3.3.3.3 + 1 more...": {subset(nil, "1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4")},
		"1.1.1.1:80,2.2.2.2:80,1.1.1.1:443 + 2 more...": {subset([]int32{80, 443}, "1.1.1.1", "2.2.2.2"), subset(nil, "3.3.3.3")},
	} {
		table, err := endpoints.TableConvertor.ConvertToTable(t.Context(), &v1.Endpoints{Subsets: subsets}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := table.Rows[0].Cells[1]; got != want || len(table.Rows[0].Cells) != len(table.ColumnDefinitions) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
