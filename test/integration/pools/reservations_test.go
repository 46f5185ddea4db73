package pools

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// reservationFor is an address that is reserved for a Service.
func reservationFor(address, service string) *v1.LoadBalancerIP {
	return &v1.LoadBalancerIP{
		ObjectMeta: metav1.ObjectMeta{Name: address, Labels: map[string]string{"kept": "yes"}},
		Spec:       v1.LoadBalancerIPSpec{ParentRef: &v1.ParentReference{Resource: "services", Namespace: "default", Name: service}},
	}
}

// retaining keeps the addresses of a Service reserved for it when it is deleted.
func retaining(svc *v1.Service) { svc.Annotations[v1.RetainAnnotation] = "true" }

// expectSound wants the store to be without violations and warnings.
func expectSound(t *testing.T, store *framework.Etcd) {
	t.Helper()
	framework.ExpectQuiet(t, framework.Check(t, store.Client))
}

// TestReservedAddress gives a Service the address that is reserved for it, and no other
// Service.
func TestReservedAddress(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, dualStack)
	server := replicas[0]
	newPool(t, server, "public", ranges("192.0.2.1-192.0.2.3"))
	reserve(t, server, reservationFor("192.0.2.2", "web"))
	expectSound(t, store)
	framework.Eventually(t, "no other Service can name it", func(ctx context.Context) (bool, error) {
		thief := balancer("thief", annotated(v1.LoadBalancerIPsAnnotation, "192.0.2.2"))
		_, err := servicesOf(replicas[1]).Create(ctx, thief, metav1.CreateOptions{})
		return apierrors.IsInvalid(err) && strings.Contains(err.Error(), "the address is already allocated by services/default/web"), err
	})
	first := create(t, server, balancer("a"))
	create(t, server, balancer("b"))
	expectWaiting(t, create(t, server, balancer("c")), "range is full: public (192.0.2.1-192.0.2.3) holds 3 of 3")
	remove(t, server, "c")
	one(t, store, "creating the Service", func() { expectAddresses(t, create(t, server, balancer("web")), "192.0.2.2") })
	if claim := claimOf(t, server, "192.0.2.2"); len(claim.Spec.Holders) != 1 || claim.Labels["kept"] != "yes" {
		t.Errorf("the claim is %+v", claim)
	}
	expectSound(t, store)
	// The file of the reservation can be applied again, also if the Service came first.
	for address, service := range map[string]string{"192.0.2.2": "web", addresses(first)[0]: "a"} {
		patch := []byte(`{"spec":{"parentRef":{"resource":"services","namespace":"default","name":"` + service + `"}}}`)
		_, err := server.Client.PortolanV1().LoadBalancerIPs().Patch(t.Context(), address, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			t.Errorf("applying the reservation of %s again: %v", address, err)
		}
	}
	remove(t, server, "web")
	if _, err := server.Client.PortolanV1().LoadBalancerIPs().Get(t.Context(), "192.0.2.2", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after the deletion of its Service, the claim is there: %v", err)
	}
	expectSound(t, store)
}

// TestReservedUntil ends a reservation when its time is over.
func TestReservedUntil(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, dualStack)
	newPool(t, server, "public", cidrs("192.0.2.7/32"))
	claims := server.Client.PortolanV1().LoadBalancerIPs()
	past := reservationFor("192.0.2.7", "web")
	past.Spec.ExpirationTimestamp = &metav1.Time{Time: time.Now().Add(-time.Hour)}
	if _, err := claims.Create(t.Context(), past, metav1.CreateOptions{}); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), "spec.expirationTimestamp: Invalid value") {
		t.Errorf("a reservation that has ended: %v", err)
	}
	soon := reservationFor("192.0.2.7", "web")
	soon.Spec.ExpirationTimestamp = &metav1.Time{Time: time.Now().Add(2 * time.Second)}
	reserve(t, server, soon)
	framework.Eventually(t, "another Service has the address", func(ctx context.Context) (bool, error) {
		other := balancer("other", annotated(v1.LoadBalancerIPsAnnotation, "192.0.2.7"))
		svc, err := servicesOf(server).Create(ctx, other, metav1.CreateOptions{})
		if err == nil && time.Now().Before(soon.Spec.ExpirationTimestamp.Truncate(time.Second)) {
			t.Errorf("another Service got %v before the reservation ended", addresses(svc))
		}
		return err == nil, err
	})
	if claim := claimOf(t, server, "192.0.2.7"); len(claim.Labels) > 0 || len(claim.Spec.Holders) != 1 {
		t.Errorf("the claim is %+v", claim)
	}
	remove(t, server, "other")
	soon.Spec.ExpirationTimestamp = &metav1.Time{Time: time.Now().Add(2 * time.Second)}
	reserve(t, server, soon)
	framework.AwaitGone(t, claims, "192.0.2.7")
}

// TestRetainedAddresses gives a Service that is created again the addresses that it had.
func TestRetainedAddresses(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, dualStack)
	server := replicas[0]
	newPool(t, server, "public", cidrs("192.0.2.0/24", "2001:db8::/120"))
	dual := withFamilies(corev1.IPFamilyPolicyRequireDualStack)
	web := balancer("web", dual, retaining, annotated(v1.RetainForAnnotation, "1h"))
	had := addresses(create(t, server, web))
	if len(had) != 2 {
		t.Fatalf("the Service has %v", had)
	}
	for range 3 {
		one(t, store, "deleting the Service", func() { remove(t, server, "web") })
		for _, address := range had {
			claim := claimOf(t, server, address)
			if len(claim.Spec.Holders) > 0 || claim.Spec.ParentRef == nil || claim.Spec.ParentRef.Name != "web" || claim.Spec.ParentRef.UID != "" ||
				claim.Spec.ExpirationTimestamp == nil {
				t.Errorf("the reservation is %+v", claim.Spec)
			}
		}
		expectSound(t, store)
		// A replica whose index lags behind asks the client to try again.
		var again *v1.Service
		framework.Eventually(t, "the Service is created", func(ctx context.Context) (bool, error) {
			var err error
			again, err = servicesOf(replicas[1]).Create(ctx, web, metav1.CreateOptions{})
			if err != nil && !apierrors.IsTooManyRequests(err) {
				t.Fatal(err)
			}
			return err == nil, err
		})
		expectAddresses(t, again, had...)
		expectSound(t, store)
		server, replicas[1] = replicas[1], server
	}
}

// TestRetainedShare keeps an address that Services have shared, whichever of them comes back
// first.
func TestRetainedShare(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, dualStack)
	server := replicas[0]
	newPool(t, server, "public", cidrs("192.0.2.0/24"))
	web, tls := balancer("web", sharing("k"), retaining), balancer("tls", sharing("k"), retaining, onPort(443))
	had := addresses(create(t, server, web))
	expectAddresses(t, create(t, server, tls), had...)
	for _, order := range [][]*v1.Service{{web, tls}, {tls, web}} {
		remove(t, server, "tls")
		remove(t, server, "web")
		if claim := claimOf(t, server, had[0]); claim.Spec.SharingKey != "k" || claim.Spec.ParentRef.Name != "web" {
			t.Errorf("the reservation is %+v", claim.Spec)
		}
		expectSound(t, store)
		other := create(t, server, balancer("other", sharing("l"), onPort(8080)))
		if addresses(other)[0] == had[0] {
			t.Error("a Service with another key got the address")
		}
		remove(t, server, "other")
		stranger := create(t, server, balancer("stranger", sharing("k"), onPort(8080)))
		if addresses(stranger)[0] == had[0] {
			t.Error("a Service that retains nothing got the address")
		}
		remove(t, server, "stranger")
		for _, svc := range order {
			expectAddresses(t, create(t, server, svc), had...)
			expectSound(t, store)
		}
	}
}

// TestReservedForWaiting serves a Service that waits, once an address is reserved for it that
// its pool has, before an older one.
func TestReservedForWaiting(t *testing.T) {
	t.Parallel()
	server := startServing(t)
	newPool(t, server, "public", ranges("192.0.2.1-192.0.2.1"))
	create(t, server, balancer("first"))
	create(t, server, balancer("old"))
	create(t, server, balancer("young"))
	reserve(t, server, reservationFor("192.0.2.9", "young"))
	patch := []byte(`{"spec":{"ranges":["192.0.2.1-192.0.2.1","192.0.2.9-192.0.2.9"]}}`)
	pools := server.Client.PortolanV1().LoadBalancerPools()
	if _, err := pools.Patch(t.Context(), "public", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, server, "young", "192.0.2.9")
	stillWaits(t, server, "old")
}
