package claims

import (
	"context"
	"maps"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/v3/kubernetes"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	portolanstorage "github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// fixedRevision is the revision of fixedKeys.
const fixedRevision = 1000

// fixedKeys is an etcd that holds a few keys.
type fixedKeys struct {
	kubernetes.Interface
	keys map[string]*mvccpb.KeyValue
}

func (f fixedKeys) Get(_ context.Context, key string, _ kubernetes.GetOptions) (kubernetes.GetResponse, error) {
	return kubernetes.GetResponse{KV: f.keys[key], Revision: fixedRevision}, nil
}

func newLedger(t testing.TB, keys map[string]*mvccpb.KeyValue) *Ledger {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	codec := serializer.NewCodecFactory(scheme).LegacyCodec(v1.SchemeGroupVersion)
	of := func(prefix string) portolanstorage.Resource {
		return portolanstorage.Resource{Prefix: prefix, Codec: codec, Transformer: identity.NewEncryptCheckTransformer()}
	}
	l := &Ledger{Index: newIndex(), client: fixedKeys{keys: keys}, stored: map[allocation.Class]*storedKind{}, turns: newTurns(),
		root: "/", limits: newLimitBook("/")}
	l.store(&storedKind{kind: addresses{}, claims: of("/a/"), ranges: of("/ar/")})
	l.store(&storedKind{kind: ports{}, claims: of("/p/"), ranges: of("/pr/")})
	l.store(&storedKind{kind: loadBalancers{}, claims: of("/l/"), ranges: of("/lr/")})
	return l
}

func storedPort(t *testing.T, l *Ledger, uid types.UID, revision int64) *mvccpb.KeyValue {
	t.Helper()
	put, err := l.stored[allocation.Port].claims.Encode(t.Context(), "30080", &v1.NodePort{
		ObjectMeta: metav1.ObjectMeta{Name: "30080", Labels: map[string]string{"kept": "yes"}, Finalizers: []string{"example.com/f"}},
		Spec: v1.NodePortSpec{
			Protocols: []corev1.Protocol{"TCP"}, ParentRef: &v1.ParentReference{Resource: "services", Name: "x", UID: uid},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &mvccpb.KeyValue{Key: []byte(put.Key), Value: put.Value, ModRevision: revision}
}

// A Service uses a node port for another protocol. The claim follows if it is the
// Service's, and is made if there is none.
func TestRewrite(t *testing.T) {
	before, after := holdings{port(30080): serving("TCP")}, holdings{port(30080): serving("TCP", "UDP")}
	owner := newService(nil)
	for name, test := range map[string]struct {
		holder    types.UID
		revision  int64
		wantPuts  int
		wantAfter allocation.Claim
	}{
		"its own":   {"web-uid", 5, 1, allocation.Claim{Holder: *v1.HolderOf(owner), Revision: 9}},
		"another's": {"other", 5, 0, allocation.Claim{Holder: v1.ParentReference{Resource: "services", Name: "x", UID: "other"}, Revision: 5}},
		"absent":    {"", 0, 1, allocation.Claim{Holder: *v1.HolderOf(owner), Revision: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			keys := map[string]*mvccpb.KeyValue{}
			l := newLedger(t, keys)
			if test.revision != 0 {
				keys["/p/30080"] = storedPort(t, l, test.holder, test.revision)
			}
			plan := &txn.Plan{}
			a, err := l.plan(t.Context(), plan, change{
				owner: owner, stored: owner, before: before, after: after,
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(plan.Guards) != 1 || plan.Guards[0] != (txn.Guard{Key: "/p/30080", Revision: test.revision}) {
				t.Errorf("guards %v", plan.Guards)
			}
			if len(plan.Puts) != test.wantPuts || len(plan.Deletes) != 0 {
				t.Errorf("puts %v, deletes %v", plan.Puts, plan.Deletes)
			}
			for _, put := range plan.Puts {
				var written v1.NodePort
				kv := &mvccpb.KeyValue{Key: []byte(put.Key), Value: put.Value}
				if err := l.stored[allocation.Port].claims.Decode(t.Context(), kv, &written); err != nil {
					t.Fatal(err)
				}
				if len(written.Spec.Protocols) != 2 || test.revision != 0 && written.Labels["kept"] != "yes" || len(written.Finalizers) > 0 ||
					written.Spec.ParentRef.UID != "web-uid" {
					t.Errorf("written: %+v", written)
				}
			}
			l.committed(a, 9)
			if claim, _ := l.Index.Lookup(port(30080)); claim != test.wantAfter {
				t.Errorf("believed: %+v, want %+v", claim, test.wantAfter)
			}
		})
	}
}

// A Service of another UID takes the place of a stored one. It keeps the claims that both
// hold, with what users have written there, and only these.
func TestReplace(t *testing.T) {
	for name, test := range map[string]struct {
		holder   types.UID
		wantPuts int
		gone     bool
	}{
		"of the former": {"former", 1, true},
		"another's":     {"other", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			keys := map[string]*mvccpb.KeyValue{}
			l := newLedger(t, keys)
			keys["/p/30080"] = storedPort(t, l, test.holder, 5)
			l.Index.Observe(port(30080), heldBy(test.holder, 5))
			l.Index.Observe(port(30081), heldBy(test.holder, 6))
			former := newService(nil)
			former.UID = "former"
			plan := &txn.Plan{}
			a, err := l.plan(t.Context(), plan, change{
				owner: newService(nil), stored: former, before: holdings{port(30080): serving("TCP"), port(30081): serving("TCP")},
				after: holdings{port(30080): serving("TCP")},
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(plan.Puts) != test.wantPuts || (len(plan.Deletes) == 1 && plan.Deletes[0] == "/p/30081") != test.gone {
				t.Errorf("puts %v, deletes %v", plan.Puts, plan.Deletes)
			}
			for _, put := range plan.Puts {
				var written v1.NodePort
				kv := &mvccpb.KeyValue{Key: []byte(put.Key), Value: put.Value}
				if err := l.stored[allocation.Port].claims.Decode(t.Context(), kv, &written); err != nil {
					t.Fatal(err)
				}
				if written.Spec.ParentRef.UID != "web-uid" || written.Spec.ParentRef.Name != "web" || written.Labels["kept"] != "yes" {
					t.Errorf("written: %+v", written)
				}
			}
			l.committed(a, 9)
			if claim, _ := l.Index.Lookup(port(30080)); (claim.Holder.UID == "web-uid") != (test.wantPuts == 1) {
				t.Errorf("believed: %+v", claim)
			}
			if _, held := l.Index.Lookup(port(30081)); held == test.gone {
				t.Errorf("the other port is held: %v", held)
			}
		})
	}
}

// A claim of another object is neither deleted nor prevents the release.
func TestRelease(t *testing.T) {
	for name, test := range map[string]struct {
		known *allocation.Claim
		guard int64
		gone  bool
	}{
		"its own":   {ptr.To(heldBy("web-uid", 5)), 5, true},
		"another's": {ptr.To(heldBy("other", 5)), 5, false},
		"by hand":   {&allocation.Claim{Revision: 5}, 5, false},
		"absent":    {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger(t, nil)
			if test.known != nil {
				l.Index.Observe(port(30080), *test.known)
			}
			plan := &txn.Plan{Puts: []txn.Put{{Key: "/of an earlier attempt"}}}
			a, err := l.plan(t.Context(), plan, change{owner: newService(nil), before: holdings{port(30080): {}}})
			if err != nil {
				t.Fatal(err)
			}
			if len(plan.Puts) != 0 || len(plan.Guards) != 2 || plan.Guards[0].Revision != test.guard || (len(plan.Deletes) == 1) != test.gone {
				t.Errorf("plan %+v", plan)
			}
			l.committed(a, 9)
			if _, held := l.Index.Lookup(port(30080)); held != (test.known != nil && !test.gone) {
				t.Errorf("held: %v", held)
			}
		})
	}
}

// A claim that other writers change while its Service releases it is guarded by its
// creation revision, if it is still the Service's.
func TestReleaseUnderWrites(t *testing.T) {
	for name, test := range map[string]struct {
		holder types.UID
		want   map[string]int64
	}{
		"its own":   {"web-uid", map[string]int64{"/p/30080": 3}},
		"another's": {"other", map[string]int64{}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger(t, nil)
			l.Index.Observe(port(30080), heldBy("web-uid", 5))
			c := change{owner: newService(nil), before: holdings{port(30080): {}}}
			a, err := l.plan(t.Context(), &txn.Plan{}, c)
			if err != nil {
				t.Fatal(err)
			}
			kv := storedPort(t, l, test.holder, 9)
			kv.CreateRevision = 3
			conflict := &txn.ConflictError{Revision: 9, Found: map[string]*mvccpb.KeyValue{"/p/30080": kv}}
			if err := l.learn(t.Context(), a, conflict); err != nil {
				t.Fatal(err)
			}
			c.created = l.creations(a, conflict)
			if !maps.Equal(c.created, test.want) {
				t.Errorf("created %v, want %v", c.created, test.want)
			}
			plan := &txn.Plan{}
			if _, err := l.plan(t.Context(), plan, c); err != nil {
				t.Fatal(err)
			}
			if want := (txn.Guard{Key: "/p/30080", Revision: 9, Creation: test.want["/p/30080"]}); plan.Guards[0] != want {
				t.Errorf("guard %+v, want %+v", plan.Guards[0], want)
			}
		})
	}
}

func TestTakeReliesOnRangeOnce(t *testing.T) {
	l := newLedger(t, nil)
	addPorts(l.Index, "r", 7, "30000-30099")
	plan := &txn.Plan{}
	if _, err := l.plan(t.Context(), plan,
		change{owner: newService(nil), after: holdings{port(30001): serving("TCP"), port(30002): serving("TCP")}}); err != nil {
		t.Fatal(err)
	}
	guards := map[string]int64{}
	for _, guard := range plan.Guards {
		guards[guard.Key] = guard.Revision
	}
	if len(plan.Guards) != 4 || len(guards) != 4 || guards["/pr/r"] != 7 || len(plan.Puts) != 2 {
		t.Errorf("plan %+v", plan)
	}
	if _, err := l.plan(t.Context(), plan, change{owner: newService(nil), after: holdings{port(99): {}}}); err == nil {
		t.Error("a value in no range is planned")
	}
}

// The index may lag, so only etcd decides.
func TestWillReject(t *testing.T) {
	named := newService(func(s *corev1.ServiceSpec) {
		s.Type = corev1.ServiceTypeNodePort
		s.Ports = []corev1.ServicePort{servicePort(80, 30080, "TCP"), servicePort(81, 30081, "TCP")}
	})
	for name, test := range map[string]struct {
		// indexed and stored are the UIDs of the port's holder.
		indexed, stored types.UID
		want            bool
	}{
		"free":                                  {"", "", false},
		"held":                                  {"other", "other", true},
		"held, by another than the index knows": {"other", "third", true},
		"released by another replica":           {"other", "", false},
		// The transaction finds out.
		"taken by another replica":    {"", "other", false},
		"the Service's own":           {"web-uid", "web-uid", false},
		"the Service's own meanwhile": {"other", "web-uid", false},
	} {
		t.Run(name, func(t *testing.T) {
			ledger := newLedger(t, map[string]*mvccpb.KeyValue{})
			addPorts(ledger.Index, "kubernetes", 1, "30000-30099")
			if test.indexed != "" {
				ledger.Index.Observe(port(30080), heldBy(test.indexed, 5))
			}
			if test.stored != "" {
				kv := storedPort(t, ledger, test.stored, 7)
				ledger.client.(fixedKeys).keys[string(kv.Key)] = kv
			}
			if got, err := ledger.WillReject(t.Context(), named); err != nil || got != test.want {
				t.Errorf("got %v, error %v", got, err)
			}
		})
	}
}

func TestWillRejectWithoutRange(t *testing.T) {
	ledger := newLedger(t, nil)
	addPorts(ledger.Index, "kubernetes", 1, "30000-30099")
	ctx, picks := requeststate.NewPicks(t.Context(), ledger.Index)
	defer picks.End()
	picked, err := picks.Pick("port/0", allocation.Port, allocation.Requester{})
	if err != nil {
		t.Fatal(err)
	}
	svc := newService(func(s *corev1.ServiceSpec) {
		s.Type, s.Ports = corev1.ServiceTypeNodePort, []corev1.ServicePort{servicePort(80, picked.Number.Port(), "TCP")}
	})
	ledger.Index.RemoveRange(allocation.Port, "kubernetes", 2)
	if got, err := ledger.WillReject(ctx, svc); err != nil || got {
		t.Errorf("a pick, for which the storage finds another: got %v, error %v", got, err)
	}
	if got, err := ledger.WillReject(t.Context(), svc); err != nil || !got {
		t.Errorf("what the client names: got %v, error %v", got, err)
	}
	picks.SetRejection("test", field.Invalid(field.NewPath("spec"), 0, "no port is left"))
	if got, err := ledger.WillReject(ctx, svc); err != nil || !got {
		t.Errorf("a plugin's rejection: got %v, error %v", got, err)
	}
}
