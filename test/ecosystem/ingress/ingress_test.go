//go:build e2e

package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	notFound = "404 page not found"
	nobody   = "no available server"
)

// ask is what a host answers to a path, or why it doesn't.
func ask(ctx context.Context, host, path string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+web+path, nil)
	if err != nil {
		return err.Error()
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(body))
}

// expect waits until a host answers as it should.
func expect(t *testing.T, host, path, want string) {
	t.Helper()
	framework.Eventually(t, host+path, func(ctx context.Context) (bool, error) {
		got := ask(ctx, host, path)
		return got == want, fmt.Errorf("got %q, want %q", got, want)
	})
}

// TestTraefik changes what Portolan holds, and asks Traefik.
func TestTraefik(t *testing.T) {
	g := start(t)
	g.backend(t, "toad-svc", "192.0.2.10", "192.0.2.11")
	g.backend(t, "hello", "192.0.2.20")
	for _, test := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"by host and path", byHostAndPath},
		{"the status", statuses},
		{"a change", changes},
		{"readiness", readiness},
		{"the class", classes},
		{"TLS", encrypted},
		{"the default backend", defaultBackend},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, g) })
	}
}

// byHostAndPath has a path for an exact rule that is longer than a prefix's rule in
// Traefik's words: Traefik goes by the longest.
func byHostAndPath(t *testing.T, g *fixture) {
	g.ingress(t, "routes",
		to("a.example.com", prefix("/", "hello", number(80)), prefix("/first", "first", named("http")),
			exact("/exactly-this", "first", number(80))),
		to("b.example.com", prefix("/only/", "first", number(80))),
		to("*.example.org", prefix("/", "first", number(80))),
	)
	for _, test := range []struct{ host, path, want string }{
		{"a.example.com", "/", "hello"},
		{"a.example.com", "/any/path?with=query", "hello"},
		{"a.example.com", "/first", "first"},
		{"a.example.com", "/first/more", "first"},
		{"a.example.com", "/firstborn", "hello"},
		{"a.example.com", "/exactly-this", "first"},
		{"a.example.com", "/exactly-this/more", "hello"},
		{"b.example.com", "/only/", "first"},
		{"b.example.com", "/", notFound},
		{"c.example.com", "/", notFound},
		{"any.example.org", "/", "first"},
		{"example.org", "/", notFound},
	} {
		expect(t, test.host, test.path, test.want)
	}
}

// statuses are what Traefik writes and kubectl shows.
func statuses(t *testing.T, g *fixture) {
	framework.Eventually(t, "what kubectl shows", func(context.Context) (bool, error) {
		shown, err := g.kubectl.Try("", "get", "ingress", "routes")
		fields := strings.Fields(shown)
		return err == nil && len(fields) == 12 && strings.Join(fields[:11], " ") ==
			"NAME CLASS HOSTS ADDRESS PORTS AGE routes traefik a.example.com,b.example.com,*.example.org 127.0.0.1 80", errors.New(shown)
	})
	ingress, err := g.client.NetworkingV1().Ingresses(namespace).Get(t.Context(), "routes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if points := ingress.Status.LoadBalancer.Ingress; ingress.Generation != 1 || len(points) != 1 || points[0].IP != "127.0.0.1" {
		t.Errorf("generation %d, %+v", ingress.Generation, points)
	}
	written := false
	for _, manager := range ingress.ManagedFields {
		written = written || manager.Manager == "traefik" && manager.Subresource == "status"
	}
	if !written {
		t.Errorf("Traefik didn't write the status: %+v", ingress.ManagedFields)
	}
}

func changes(t *testing.T, g *fixture) {
	g.change(t, "routes", func(spec *networkingv1.IngressSpec) {
		spec.Rules = []networkingv1.IngressRule{to("d.example.com", prefix("/", "first", number(80)))}
	})
	expect(t, "d.example.com", "/", "first")
	expect(t, "a.example.com", "/", notFound)
	if err := g.client.NetworkingV1().Ingresses(namespace).Delete(t.Context(), "routes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(t, "d.example.com", "/", notFound)
}

// readiness has requests by the example's Ingress go to the Pods that are ready, in
// turn.
func readiness(t *testing.T, g *fixture) {
	const host = "toad.localhost"
	expect(t, host, "/", "toad-svc-0")
	expect(t, host, "/", "toad-svc-1")
	expect(t, host, "/", "toad-svc-0")
	g.setReady(t, "toad-svc-0", "192.0.2.10", corev1.ConditionFalse)
	expectOnly(t, host, "toad-svc-1")
	g.setReady(t, "toad-svc-1", "192.0.2.11", corev1.ConditionFalse)
	expect(t, host, "/", nobody)
	g.setReady(t, "toad-svc-0", "192.0.2.10", corev1.ConditionTrue)
	expectOnly(t, host, "toad-svc-0")
	if err := g.client.CoreV1().Pods(namespace).Delete(t.Context(), "toad-svc-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(t, host, "/", nobody)
}

// expectOnly waits until one answers many times in a row.
func expectOnly(t *testing.T, host, want string) {
	t.Helper()
	const many = 20
	framework.Eventually(t, host, func(ctx context.Context) (bool, error) {
		for range many {
			if got := ask(ctx, host, "/"); got != want {
				return false, fmt.Errorf("got %q, want %q", got, want)
			}
		}
		return true, nil
	})
}

// classes keep other controllers' Ingresses away.
func classes(t *testing.T, g *fixture) {
	other := &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/other"},
	}
	if _, err := g.client.NetworkingV1().IngressClasses().Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	g.ingress(t, "mine", to("mine.example.com", prefix("/", "hello", number(80))))
	expect(t, "mine.example.com", "/", "hello")
	g.change(t, "mine", func(spec *networkingv1.IngressSpec) { spec.IngressClassName = ptr.To("other") })
	expect(t, "mine.example.com", "/", notFound)
	g.change(t, "mine", func(spec *networkingv1.IngressSpec) { spec.IngressClassName = ptr.To(class) })
	expect(t, "mine.example.com", "/", "hello")
}

// defaultBackend is that of an Ingress without rules.
func defaultBackend(t *testing.T, g *fixture) {
	expect(t, "unknown.example.com", "/", notFound)
	backend := backendOf("hello", number(80))
	made := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "rest"}, Spec: networkingv1.IngressSpec{DefaultBackend: &backend}}
	if _, err := g.client.NetworkingV1().Ingresses(namespace).Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(t, "unknown.example.com", "/any", "hello")
	expect(t, "first.example.com", "/", "first")
}
