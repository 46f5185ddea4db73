package claims

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/service"
	"github.com/portolan-dev/portolan/pkg/txn"
)

const (
	sharedAddress = "192.0.2.8"
	sharedKey     = "/l/" + sharedAddress
)

func sharedValue() allocation.Value {
	return allocation.LoadBalancerAddress(netip.MustParseAddr(sharedAddress))
}

// newBalancer returns a Service that has the shared address.
func newBalancer(name, key string, ports ...int32) *v1.Service {
	svc := newService(func(s *corev1.ServiceSpec) {
		s.Type = corev1.ServiceTypeLoadBalancer
		for _, port := range ports {
			s.Ports = append(s.Ports, servicePort(port, 0, "TCP"))
		}
	})
	svc.Name, svc.UID = name, types.UID("uid-"+name)
	svc.Annotations = map[string]string{v1.LoadBalancerSharingKeyAnnotation: key}
	service.SetLoadBalancerAddresses(&svc.Status, []netip.Addr{netip.MustParseAddr(sharedAddress)}, "", metav1.Now())
	return svc
}

// sharedClaim returns the stored claim of Services on the shared address.
func sharedClaim(t *testing.T, l *Ledger, revision int64, holders ...*v1.Service) *mvccpb.KeyValue {
	t.Helper()
	claim := &v1.LoadBalancerIP{ObjectMeta: metav1.ObjectMeta{Name: sharedAddress, Labels: map[string]string{"kept": "yes"}}}
	for _, svc := range holders {
		share := holdingsOf(svc)[sharedValue()].share
		claim.Spec.SharingKey = share.Key
		claim.Spec.Holders = append(claim.Spec.Holders, share.LoadBalancerIPHolder)
	}
	put, err := l.stored[allocation.LoadBalancerIPv4].claims.Encode(t.Context(), sharedAddress, claim)
	if err != nil {
		t.Fatal(err)
	}
	return &mvccpb.KeyValue{Key: []byte(put.Key), Value: put.Value, ModRevision: revision, CreateRevision: 1}
}

func addPool(index *allocation.Index, change func(*v1.LoadBalancerPoolSpec)) {
	pool := &v1.LoadBalancerPool{ObjectMeta: metav1.ObjectMeta{Name: "public"}, Spec: v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/24"}}}
	if change != nil {
		change(&pool.Spec)
	}
	enterRange(index, loadBalancers{}, pool, 3)
}

// writtenShares describes the claim that a plan writes: its holders with their ports.
func writtenShares(t *testing.T, l *Ledger, plan *txn.Plan) string {
	t.Helper()
	var texts []string
	for _, key := range plan.Deletes {
		texts = append(texts, "delete "+key)
	}
	for _, put := range plan.Puts {
		var claim v1.LoadBalancerIP
		kv := &mvccpb.KeyValue{Key: []byte(put.Key), Value: put.Value}
		if err := l.stored[allocation.LoadBalancerIPv4].claims.Decode(t.Context(), kv, &claim); err != nil {
			t.Fatal(err)
		}
		text := claim.Spec.SharingKey + claim.Labels["kept"]
		for _, holder := range claim.Spec.Holders {
			text += fmt.Sprintf(" %s%v", holder.Name, holder.Ports)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}

// TestShares plans what one Service does to an address that others may hold.
func TestShares(t *testing.T) {
	web, tls, dns := newBalancer("web", "k", 80), newBalancer("tls", "k", 443), newBalancer("dns", "k", 53)
	webOnTLS := newBalancer("web", "k", 443)
	without := func(svc *v1.Service) *v1.Service {
		svc = svc.DeepCopy()
		service.WaitForLoadBalancer(&svc.Status, "Full", "", metav1.Now())
		return svc
	}
	of := func(holders ...*v1.Service) []*v1.Service { return holders }
	for name, test := range map[string]struct {
		stored, indexed []*v1.Service
		before, after   *v1.Service
		want, wantErr   string
		wantRevision    int64
	}{
		"first": {after: web, want: "k web[{TCP 80}]"},
		"join":  {stored: of(web), indexed: of(web), after: tls, want: "kyes web[{TCP 80}] tls[{TCP 443}]", wantRevision: 7},
		"join more than are known": {stored: of(web, dns), indexed: of(web), after: tls,
			want: "kyes web[{TCP 80}] dns[{TCP 53}] tls[{TCP 443}]", wantRevision: 7},
		"the others are gone": {indexed: of(web), after: tls, want: "k tls[{TCP 443}]"},
		"a port is taken": {stored: of(tls), indexed: of(tls), after: webOnTLS,
			wantErr: "192.0.2.8 is held by services.portolan.dev/default/tls"},
		"another port": {stored: of(web, dns), indexed: of(web, dns), before: web, after: webOnTLS,
			want: "kyes web[{TCP 443}] dns[{TCP 53}]", wantRevision: 7},
		"another port, taken": {stored: of(web, tls), indexed: of(web, tls), before: web, after: webOnTLS,
			wantErr: "192.0.2.8 is held by services.portolan.dev/default/tls"},
		"leave": {stored: of(web, tls), indexed: of(web, tls), before: web, after: without(web), want: "kyes tls[{TCP 443}]", wantRevision: 7},
		"the last to leave": {stored: of(web), indexed: of(web), before: web, after: without(web),
			want: "delete " + sharedKey, wantRevision: 7},
		"the others have left before": {stored: of(web), indexed: of(web, tls), before: web, after: without(web),
			want: "delete " + sharedKey, wantRevision: 7},
		"leave what is another's": {stored: of(tls), indexed: of(tls), before: web, after: without(web), want: "", wantRevision: 7},
	} {
		t.Run(name, func(t *testing.T) {
			keys := map[string]*mvccpb.KeyValue{}
			l := newLedger(t, keys)
			addPool(l.Index, nil)
			if len(test.stored) > 0 {
				keys[sharedKey] = sharedClaim(t, l, 7, test.stored...)
			}
			if len(test.indexed) > 0 {
				kv := sharedClaim(t, l, 6, test.indexed...)
				if slices.Equal(test.indexed, test.stored) {
					kv.ModRevision = 7
				}
				if err := l.learnClaim(t.Context(), sharedValue(), kv, 7); err != nil {
					t.Fatal(err)
				}
			}
			plan := &txn.Plan{}
			a, err := l.plan(t.Context(), plan, change{
				owner: test.after, stored: test.before, before: holdingsOf(test.before), after: holdingsOf(test.after),
			})
			if got := fmt.Sprint(err); err != nil && got != test.wantErr || err == nil && test.wantErr != "" {
				t.Fatalf("got %v, want %s", err, test.wantErr)
			}
			if err != nil {
				return
			}
			if got := writtenShares(t, l, plan); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			at := slices.IndexFunc(plan.Guards, func(g txn.Guard) bool { return g.Key == sharedKey })
			if at < 0 || plan.Guards[at] != (txn.Guard{Key: sharedKey, Revision: test.wantRevision}) {
				t.Errorf("guards %+v", plan.Guards)
			}
			l.committed(a, 9)
			claim, _ := l.Index.Lookup(sharedValue())
			if _, holds := holdingsOf(test.after)[sharedValue()]; claim.HeldBy(test.after.UID) != holds {
				t.Errorf("the index has %+v", claim)
			}
		})
	}
}

// A conflict of the transaction must not make a Service release the claim of those who have
// joined it meanwhile.
func TestReleaseOfJoined(t *testing.T) {
	web, tls := newBalancer("web", "k", 80), newBalancer("tls", "k", 443)
	l := newLedger(t, map[string]*mvccpb.KeyValue{})
	kv := sharedClaim(t, l, 5, web)
	if err := l.learnClaim(t.Context(), sharedValue(), kv, 5); err != nil {
		t.Fatal(err)
	}
	plan := &txn.Plan{}
	c := change{owner: web, before: holdingsOf(web)}
	a, err := l.plan(t.Context(), plan, c)
	if err != nil || len(plan.Deletes) != 1 || plan.Guards[0].Revision != 5 || plan.Guards[0].Creation != 0 {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	joined := sharedClaim(t, l, 8, web, tls)
	l.client.(fixedKeys).keys[sharedKey] = joined
	conflict := &txn.ConflictError{Revision: 8, Found: map[string]*mvccpb.KeyValue{sharedKey: joined}}
	if err := l.learn(t.Context(), a, conflict); err != nil {
		t.Fatal(err)
	}
	if c.created = l.creations(a, conflict); len(c.created) > 0 {
		t.Errorf("guarded by its creation: %v", c.created)
	}
	if _, err := l.plan(t.Context(), plan, c); err != nil || len(plan.Deletes) > 0 || writtenShares(t, l, plan) != "kyes tls[{TCP 443}]" ||
		plan.Guards[0].Revision != 8 {
		t.Errorf("plan %+v, %v", plan, err)
	}
}

func TestOffersOfPool(t *testing.T) {
	pool := &v1.LoadBalancerPool{ObjectMeta: metav1.ObjectMeta{Name: "public"}, Spec: v1.LoadBalancerPoolSpec{
		CIDRs: []string{"192.0.2.0/29"}, Ranges: []string{"192.0.2.64-192.0.2.70", "2001:db8::1-2001:db8::3"}, Exclude: []string{"192.0.2.3"},
	}}
	index := newIndex()
	enterRange(index, loadBalancers{}, pool, 1)
	l := &Ledger{Index: index}
	usage := l.PoolUsage("public")
	ipv4, ipv6 := v1.FamilyUsage{Family: "IPv4", Capacity: 14, Free: 14}, v1.FamilyUsage{Family: "IPv6", Capacity: 3, Free: 3}
	if !slices.Equal(usage, []v1.FamilyUsage{ipv4, ipv6}) {
		t.Errorf("usage %+v", usage)
	}
	for range 14 {
		value, err := index.Pick(allocation.LoadBalancerIPv4, allocation.Requester{})
		if err != nil || value.String() == "192.0.2.3" {
			t.Fatalf("picked %v, %v", value, err)
		}
		index.Observe(value, heldBy("x", 2))
	}
	_, err := index.Pick(allocation.LoadBalancerIPv4, allocation.Requester{})
	if want := "range is full: public (192.0.2.0/29, 192.0.2.64-192.0.2.70) holds 14 of 14"; fmt.Sprint(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
	pool.Spec.CIDRs = []string{"2001:db8::/56"}
	pool.Spec.Ranges, pool.Spec.Exclude = nil, nil
	enterRange(index, loadBalancers{}, pool, 3)
	const exact = "4722366482869645213696"
	if usage := l.PoolUsage("public"); len(usage) != 1 || usage[0].ExactCapacity != exact || usage[0].ExactFree != exact {
		t.Errorf("usage %+v", usage)
	}
}

func TestTurns(t *testing.T) {
	turns := newTurns()
	leave, err := turns.take(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if _, err := turns.take(ctx, "k"); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		if second, err := turns.take(t.Context(), "k"); err != nil {
			t.Error(err)
		} else {
			second()
		}
	}()
	other, err := turns.take(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	other()
	leave()
	select {
	case <-taken:
	case <-time.After(time.Minute):
		t.Fatal("the turn does not go on")
	}
	if len(turns.keys) != 0 {
		t.Errorf("%d turns are left", len(turns.keys))
	}
}
