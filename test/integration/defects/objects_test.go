package defects

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

func TestC20WhatUpstreamTakesUnseenIsValidated(t *testing.T) {
	w := start(t)
	slices := w.Client.PortolanV1().EndpointSlices("default")
	slice := &v1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "web-1"},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Port: ptr.To[int32](70000)}},
	}
	_, err := slices.Create(t.Context(), slice, metav1.CreateOptions{})
	w.expect("EndpointSlice", err, apierrors.IsInvalid, "ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive")

	w.create(newService("lb", ofType(corev1.ServiceTypeLoadBalancer)))
	for body, want := range map[string]string{
		`{"status":{"conditions":[{"type":"a b","status":"Foo","reason":"R","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`: "status.conditions[0].type",
		`{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1","ports":[{"port":0,"protocol":"TCP"}]}]}}}`:                              "status.loadBalancer.ingress[0].ports[0].port",
	} {
		_, err := w.services.Patch(t.Context(), "lb", types.MergePatchType, []byte(body), metav1.PatchOptions{}, "status")
		w.expect(body, err, apierrors.IsInvalid, want)
	}
	garbage := newService("lb2", ofType(corev1.ServiceTypeLoadBalancer))
	garbage.Spec.LoadBalancerIP = "garbage"
	w.refused(garbage, "spec.loadBalancerIP: Invalid value: \"garbage\": must be a valid IP address")

	// What is stored already can be updated.
	old := w.create(newService("old", ofType(corev1.ServiceTypeLoadBalancer)))
	old.Spec.LoadBalancerIP = "garbage"
	w.storeService(old)
	if _, err := w.services.Patch(t.Context(), "old", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
		metav1.PatchOptions{}); err != nil {
		t.Errorf("a stored Service can't be updated: %v", err)
	}
}

// test/integration/operation follows them further.
func TestC22GaugesAreRightFromTheStart(t *testing.T) {
	w := start(t, func(o *options.Options) { o.ClusterIPRanges = []string{"10.96.0.0/24"} })
	gauge := func(name string) string {
		t.Helper()
		text, err := w.Client.Discovery().RESTClient().Get().AbsPath("/metrics").Do(t.Context()).Raw()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, name+" "); ok {
				return strings.TrimSpace(value)
			}
		}
		return "none"
	}
	const free = `portolan_clusterip_allocator_available_ips{cidr="%s"}`
	if got := gauge(fmt.Sprintf(free, "10.96.0.0/24")); got != "254" {
		t.Errorf("before anything is allocated: %s", got)
	}
	if err := createCIDR(w, "more", "10.97.0.0/24"); err != nil {
		t.Fatal(err)
	}
	if got := gauge(fmt.Sprintf(free, "10.97.0.0/24")); got != "254" {
		t.Errorf("of a new ServiceCIDR: %s", got)
	}
	if err := w.Client.PortolanV1().ServiceCIDRs().Delete(t.Context(), "more", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := gauge(fmt.Sprintf(free, "10.97.0.0/24")); got != "none" {
		t.Errorf("of a ServiceCIDR that is gone: %s", got)
	}
}

// test/integration/hostile does the same to every kind.
func TestC27TooLargeForEtcdIsNoServerError(t *testing.T) {
	w := start(t)
	endpoints := &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Subsets: []corev1.EndpointSubset{{}}}
	for i := range 50_000 {
		address := corev1.EndpointAddress{
			IP: fmt.Sprintf("198.51.%d.%d", i/250%100, i%250), Hostname: fmt.Sprintf("a-hostname-of-some-length-%d", i),
		}
		endpoints.Subsets[0].Addresses = append(endpoints.Subsets[0].Addresses, address)
	}
	n := w.writes(func() {
		_, err := w.Client.PortolanV1().Endpoints("default").Create(t.Context(), endpoints, metav1.CreateOptions{})
		w.expect("create", err, apierrors.IsRequestEntityTooLargeError)
	})
	if n != 0 {
		t.Errorf("%d writes", n)
	}
}

// test/integration/api has the cases.
func TestC26WhatGoesWithAServiceGoesAtOnce(t *testing.T) {
	w := start(t)
	w.create(newService("web", at("10.96.0.5"), onPort(30005)))
	api := w.Client.PortolanV1()
	endpoints := &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	if _, err := api.Endpoints("default").Create(t.Context(), endpoints, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	slice := &v1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1", Labels: map[string]string{
			discoveryv1.LabelServiceName: "web", discoveryv1.LabelManagedBy: "endpointslice-controller.k8s.io",
		}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	if _, err := api.EndpointSlices("default").Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	n := w.writes(func() {
		if err := w.services.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	if n != 1 {
		t.Errorf("%d writes", n)
	}
	for what, get := range map[string]func() error{
		"Endpoints": func() error {
			_, err := api.Endpoints("default").Get(t.Context(), "web", metav1.GetOptions{})
			return err
		},
		"EndpointSlice": func() error {
			_, err := api.EndpointSlices("default").Get(t.Context(), "web-1", metav1.GetOptions{})
			return err
		},
		"IPAddress": func() error {
			_, err := api.IPAddresses().Get(t.Context(), "10.96.0.5", metav1.GetOptions{})
			return err
		},
		"NodePort": func() error {
			_, err := api.NodePorts().Get(t.Context(), "30005", metav1.GetOptions{})
			return err
		},
	} {
		w.expect(what, get(), apierrors.IsNotFound)
	}
}

// test/integration/api has the races.
func TestC6WhatIsInUseCantBeDeleted(t *testing.T) {
	w := start(t)
	w.create(newService("web", at("10.96.0.5"), onPort(30005)))
	api, ctx := w.Client.PortolanV1(), t.Context()
	const finalizer = `{"metadata":{"finalizers":["example.com/wait"]}}`
	if _, err := api.ServiceCIDRs().Patch(ctx, "kubernetes", types.MergePatchType, []byte(finalizer), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	n := w.writes(func() {
		for what, remove := range map[string]func(metav1.DeleteOptions) error{
			"IPAddress":                    func(o metav1.DeleteOptions) error { return api.IPAddresses().Delete(ctx, "10.96.0.5", o) },
			"NodePort":                     func(o metav1.DeleteOptions) error { return api.NodePorts().Delete(ctx, "30005", o) },
			"NodePortRange":                func(o metav1.DeleteOptions) error { return api.NodePortRanges().Delete(ctx, "kubernetes", o) },
			"ServiceCIDR with a finalizer": func(o metav1.DeleteOptions) error { return api.ServiceCIDRs().Delete(ctx, "kubernetes", o) },
		} {
			for _, dry := range [][]string{dryRun, nil} {
				w.expect(what, remove(metav1.DeleteOptions{DryRun: dry}), apierrors.IsConflict, "held by services.portolan.dev/default/web")
			}
		}
	})
	if n != 0 {
		t.Errorf("%d writes", n)
	}
	w.refused(newService("thief", at("10.96.0.5")), "provided IP is already allocated")
	w.create(newService("other"))

	// Without its Service each may go.
	for _, name := range []string{"web", "other"} {
		if err := w.services.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := api.ServiceCIDRs().Delete(ctx, "kubernetes", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	cidr, err := api.ServiceCIDRs().Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil || cidr.DeletionTimestamp == nil {
		t.Errorf("the ServiceCIDR waits for its finalizer: %+v, %v", cidr, err)
	}
	w.refused(newService("late"), "not configured on this cluster")
	if _, err := api.ServiceCIDRs().Patch(ctx, "kubernetes", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`),
		metav1.PatchOptions{}); err != nil {
		t.Error(err)
	}
	_, err = api.ServiceCIDRs().Get(ctx, "kubernetes", metav1.GetOptions{})
	w.expect("get of what is gone", err, apierrors.IsNotFound)
}
