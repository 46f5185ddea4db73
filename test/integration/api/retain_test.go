package api

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// retained is a Service whose values stay reserved when it is deleted.
func retained(name string, change ...func(*corev1.ServiceSpec)) *v1.Service {
	svc := serviceWith(name, change...)
	svc.Annotations = map[string]string{v1.RetainAnnotation: "true"}
	return svc
}

func local(spec *corev1.ServiceSpec) {
	spec.Type, spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
	spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "dns", Port: 53, Protocol: "UDP"}, {Name: "dns-tcp", Port: 53}}
}

// values has everything that a Service holds, by where it stands.
func values(svc *v1.Service) map[string]string {
	held := map[string]string{"healthCheck": fmt.Sprint(svc.Spec.HealthCheckNodePort)}
	for i, ip := range svc.Spec.ClusterIPs {
		held[fmt.Sprint("address", i)] = ip
	}
	for _, port := range svc.Spec.Ports {
		held[port.Name] = fmt.Sprint(port.NodePort)
	}
	return held
}

// A retained Service that is deleted and created again has all its values again, on any
// replica. Each request is one write.
func TestRetain(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges("20000-20099", "10.96.0.0/24", "fd00:96::/112"))
	server, ctx := replicas[0], t.Context()
	dualStack := func(spec *corev1.ServiceSpec) {
		policy := corev1.IPFamilyPolicyRequireDualStack
		spec.IPFamilyPolicy = &policy
	}
	first, err := servicesOf(server).Create(ctx, retained("web", local, dualStack), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	claims := server.Client.PortolanV1()
	label := []byte(`{"metadata":{"labels":{"kept":"yes"}}}`)
	_, err = claims.IPAddresses().Patch(ctx, first.Spec.ClusterIP, "application/merge-patch+json", label, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, remove := range map[string]func() error{
		"delete": func() error { return servicesOf(server).Delete(ctx, "web", metav1.DeleteOptions{}) },
		"deletecollection": func() error {
			return servicesOf(server).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		},
		"last finalizer": func() error {
			finalizer := []byte(`{"metadata":{"finalizers":["example.com/f"]}}`)
			if _, err := servicesOf(server).Patch(ctx, "web", "application/merge-patch+json", finalizer, metav1.PatchOptions{}); err != nil {
				return err
			}
			if err := servicesOf(server).Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
				return err
			}
			_, err := servicesOf(server).Patch(ctx, "web", "application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`),
				metav1.PatchOptions{})
			return err
		},
	} {
		if err := servicesOf(server).Delete(ctx, "web", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			t.Fatal(err)
		}
		before := revision(t, store)
		if err := remove(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if after := revision(t, store); name != "last finalizer" && after != before+1 {
			t.Errorf("%s took %d writes", name, after-before)
		}
		address, err := claims.IPAddresses().Get(ctx, first.Spec.ClusterIP, metav1.GetOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if ref := *address.Spec.ParentRef; ref.UID != "" || ref.Name != "web" || address.Labels["kept"] != "yes" ||
			address.Labels[v1.LabelManagedBy] != "" {
			t.Errorf("%s: the reservation is %+v", name, address)
		}
		expectQuiet(t, store)
		before = revision(t, store)
		again, err := servicesOf(server).Create(ctx, retained("web", local, dualStack), metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if after := revision(t, store); after != before+1 {
			t.Errorf("the create after %s took %d writes", name, after-before)
		}
		if got, want := values(again), values(first); !reflect.DeepEqual(got, want) {
			t.Errorf("after %s: %v, want %v", name, got, want)
		}
		expectQuiet(t, store)
	}
}

// What is not retained, and what has expired, is free.
func TestRetainedForATime(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges("20000-20099", "10.96.0.0/24"))
	server, ctx := replicas[0], t.Context()
	web := retained("web", onNodePort(20050))
	web.Annotations[v1.RetainForAnnotation] = "2s"
	web, err := servicesOf(server).Create(ctx, web, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := servicesOf(server).Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	claim, err := server.Client.PortolanV1().NodePorts().Get(ctx, "20050", metav1.GetOptions{})
	if err != nil || claim.Spec.ExpirationTimestamp == nil {
		t.Fatalf("got %v, error %v", claim, err)
	}
	// Nothing but the end of the reservation lets another Service have the port.
	framework.Eventually(t, "another Service gets the port", func(ctx context.Context) (bool, error) {
		_, err := servicesOf(server).Create(ctx, serviceWith("other", onNodePort(20050)), metav1.CreateOptions{})
		if err == nil && time.Now().Before(claim.Spec.ExpirationTimestamp.Time) {
			t.Error("another Service got the port before the reservation had expired")
		}
		return err == nil, err
	})
	framework.Eventually(t, "the expired reservation is gone", func(ctx context.Context) (bool, error) {
		_, err := server.Client.PortolanV1().IPAddresses().Get(ctx, web.Spec.ClusterIP, metav1.GetOptions{})
		return apierrors.IsNotFound(err), err
	})
	expectQuiet(t, store)
}

// What a Service holds stays reserved for it when its namespace is deleted, so that the
// namespace can be restored from a backup.
func TestRetainOutlivesNamespace(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	client, ctx := coreClient(t, server), t.Context()
	newNamespace(t, client, "shop")
	create := func() *corev1.Service {
		svc := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{v1.RetainAnnotation: "true"}},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
		}
		svc, err := client.CoreV1().Services("shop").Create(ctx, svc, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return svc
	}
	first := create()
	if err := client.CoreV1().Namespaces().Delete(ctx, "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, "the namespace is gone", gone(client, "shop"))
	newNamespace(t, client, "shop")
	if again := create(); again.Spec.ClusterIP != first.Spec.ClusterIP || again.Spec.Ports[0].NodePort != first.Spec.Ports[0].NodePort {
		t.Errorf("got %v, want %v", again.Spec, first.Spec)
	}
}

func TestRetainAnnotations(t *testing.T) {
	t.Parallel()
	_, replicas := framework.Replicas(t, 1, withRanges("20000-20099", "10.96.0.0/24"))
	services, ctx := servicesOf(replicas[0]), t.Context()
	for _, test := range []struct{ key, value, want string }{
		{v1.RetainAnnotation, "yes", `metadata.annotations[portolan.dev/retain]: Unsupported value: "yes": supported values: "false", "true"`},
		{v1.RetainForAnnotation, "3 days", `metadata.annotations[portolan.dev/retain-for]: Invalid value: "3 days": must be a duration above 0 and up to 2562047h, such as "72h" or "30m"`},
		{v1.RetainForAnnotation, "-1h", `metadata.annotations[portolan.dev/retain-for]: Invalid value: "-1h": must be a duration above 0 and up to 2562047h, such as "72h" or "30m"`},
	} {
		svc := serviceWith("web")
		svc.Annotations = map[string]string{test.key: test.value}
		_, err := services.Create(ctx, svc, metav1.CreateOptions{})
		expectInvalid(t, test.key+"="+test.value, err, test.want)
	}
}

// Many clients delete and create retained Services, each its own, while others use up the
// ranges: every Service always has its own values, on every replica.
func TestRetainUnderContention(t *testing.T) {
	t.Parallel()
	const owners, rounds = 6, 15
	// As many values as owners and a few thieves.
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20009", "10.96.0.0/28"))
	ctx := t.Context()
	first := map[string]map[string]string{}
	for i := range owners {
		name := fmt.Sprintf("owner-%d", i)
		svc, err := servicesOf(replicas[0]).Create(ctx, retained(name, onNodePort(0)), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		first[name] = values(svc)
	}
	done := make(chan struct{})
	var thieves, all sync.WaitGroup
	for i := range 4 {
		thieves.Go(func() { useUp(ctx, t, replicas[i%2], fmt.Sprintf("thief-%d", i), done) })
	}
	for i := range owners {
		name := fmt.Sprintf("owner-%d", i)
		all.Go(func() {
			for round := range rounds {
				server := replicas[(i+round)%2]
				if err := servicesOf(server).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				svc, err := servicesOf(replicas[(i+round/2)%2]).Create(ctx, retained(name, onNodePort(0)), metav1.CreateOptions{})
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				if got := values(svc); !reflect.DeepEqual(got, first[name]) {
					t.Errorf("%s, round %d: %v, want %v", name, round, got, first[name])
				}
			}
		})
	}
	all.Wait()
	close(done)
	thieves.Wait()
	expectQuiet(t, store)
}

// useUp creates Services until the ranges are full, deletes them and begins again.
func useUp(ctx context.Context, t *testing.T, server *framework.Server, name string, done <-chan struct{}) {
	for {
		for n := 0; ; n++ {
			_, err := servicesOf(server).Create(ctx, serviceWith(fmt.Sprintf("%s-%d", name, n), onNodePort(0)), metav1.CreateOptions{})
			if err == nil {
				continue
			}
			if !apierrors.IsInvalid(err) && !apierrors.IsTooManyRequests(err) {
				t.Errorf("%s: %v", name, err)
			}
			for ; n > 0; n-- {
				if err := servicesOf(server).Delete(ctx, fmt.Sprintf("%s-%d", name, n-1), metav1.DeleteOptions{}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			break
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
