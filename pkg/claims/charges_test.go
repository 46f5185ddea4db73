package claims

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/v3/kubernetes"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// memory is an etcd of one member.
type memory struct {
	kubernetes.Interface
	revision int64
	keys     map[string]*mvccpb.KeyValue
}

func (m *memory) Get(_ context.Context, key string, _ kubernetes.GetOptions) (kubernetes.GetResponse, error) {
	return kubernetes.GetResponse{KV: m.keys[key], Revision: m.revision}, nil
}

func (m *memory) List(_ context.Context, prefix string, options kubernetes.ListOptions) (kubernetes.ListResponse, error) {
	found := kubernetes.ListResponse{Revision: m.revision}
	for _, key := range slices.Sorted(maps.Keys(m.keys)) {
		if strings.HasPrefix(key, prefix) && key >= options.Continue && (options.Limit == 0 || int64(len(found.Kvs)) < options.Limit) {
			found.Kvs = append(found.Kvs, m.keys[key])
		}
	}
	return found, nil
}

func (m *memory) Count(ctx context.Context, prefix string, _ kubernetes.CountOptions) (int64, error) {
	found, err := m.List(ctx, prefix, kubernetes.ListOptions{})
	return int64(len(found.Kvs)), err
}

// commit carries out a plan, unless a guard does not hold.
func (m *memory) commit(plan *txn.Plan) *txn.ConflictError {
	conflict := &txn.ConflictError{Revision: m.revision, Found: map[string]*mvccpb.KeyValue{}}
	held := true
	for _, guard := range plan.Guards {
		conflict.Found[guard.Key] = m.keys[guard.Key]
		held = held && txn.ModRevision(m.keys[guard.Key]) == guard.Revision
	}
	if !held {
		return conflict
	}
	m.revision++
	for _, key := range plan.Deletes {
		delete(m.keys, key)
	}
	for _, prefix := range plan.DeletePrefixes {
		maps.DeleteFunc(m.keys, func(key string, _ *mvccpb.KeyValue) bool { return strings.HasPrefix(key, prefix) })
	}
	for _, put := range plan.Puts {
		m.keys[put.Key] = &mvccpb.KeyValue{Key: []byte(put.Key), Value: put.Value, ModRevision: m.revision, CreateRevision: m.revision}
	}
	return nil
}

// replicas are ledgers on one etcd, whose indexes learn only from transactions.
type replicas struct {
	t       *testing.T
	memory  *memory
	ledgers []*Ledger
	quotas  []*QuotaStorage
	// stored are the Services.
	stored map[string]*v1.Service
	quota  *v1.ClaimQuota
}

func newReplicas(t *testing.T) *replicas {
	t.Helper()
	r := &replicas{t: t, memory: &memory{revision: 10, keys: map[string]*mvccpb.KeyValue{}}, stored: map[string]*v1.Service{}}
	r.memory.keys["/pr/r"] = &mvccpb.KeyValue{ModRevision: 7}
	for range 3 {
		l := newLedger(t, nil)
		l.client, l.services = r.memory, l.stored[0].claims
		l.services.Prefix = "/s/"
		addPorts(l.Index, "r", 7, "30000-30099")
		r.ledgers, r.quotas = append(r.ledgers, l), append(r.quotas, &QuotaStorage{ledger: l})
	}
	return r
}

// write makes a Service hold node ports, or deletes it if it is to hold none, at one replica.
func (r *replicas) write(l *Ledger, name string, nodePorts []int32) error {
	svc := newService(func(s *corev1.ServiceSpec) {
		s.Type = corev1.ServiceTypeNodePort
		for _, number := range nodePorts {
			s.Ports = append(s.Ports, servicePort(number, number, "TCP"))
		}
	})
	svc.Name, svc.UID = name, types.UID(name)
	stored := r.stored[name]
	c := change{owner: svc, stored: stored, before: holdingsOf(stored), after: holdingsOf(svc), charges: newCharges()}
	if len(nodePorts) == 0 {
		c.after = nil
	}
	put, err := l.services.Encode(r.t.Context(), "default/"+name, svc)
	if err != nil {
		return err
	}
	for range 200 {
		c.charges.drop()
		plan := &txn.Plan{}
		a, err := l.plan(r.t.Context(), plan, c)
		if _, again := errors.AsType[*retryError](err); again {
			continue
		}
		if err != nil {
			c.charges.drop()
			return err
		}
		if c.after == nil {
			plan.Deletes = append(plan.Deletes, put.Key)
		} else {
			plan.Puts = append(plan.Puts, put)
		}
		if conflict := r.memory.commit(plan); conflict != nil {
			if err := errors.Join(l.learn(r.t.Context(), a, conflict), l.learnPermits(a, c.charges, conflict)); err != nil {
				return err
			}
			continue
		}
		l.committed(a, r.memory.revision)
		c.charges.claimed()
		if r.stored[name] = svc; c.after == nil {
			delete(r.stored, name)
		}
		return nil
	}
	return errors.New("the write is rejected in each attempt")
}

// limit makes, changes or deletes the quota at one replica.
func (r *replicas) limit(s *QuotaStorage, hard map[string]int64) error {
	quota := &v1.ClaimQuota{Spec: v1.ClaimQuotaSpec{Hard: hard}}
	quota.Namespace, quota.Name = "default", "team"
	plan := &txn.Plan{}
	if err := s.planLimits(r.t.Context(), plan, quota, hard); err != nil {
		return err
	}
	if conflict := r.memory.commit(plan); conflict != nil {
		return conflict
	}
	if r.quota = quota; hard == nil {
		r.quota = nil
	}
	return nil
}

func (r *replicas) used() (used int) {
	for _, svc := range r.stored {
		used += len(holdingsOf(svc))
	}
	return used
}

// check compares the permits and the usage that a replica shows with the Services.
func (r *replicas) check(l *Ledger) error {
	held := holdings{}
	for _, svc := range r.stored {
		maps.Copy(held, holdingsOf(svc))
	}
	for key, kv := range r.memory.keys {
		if permit, ok := strings.CutPrefix(key, "/claimpermits/default/team/nodeports/permits/"); ok {
			value, _ := parseClaimName(string(kv.Value))
			other := r.memory.keys["/claimpermits/default/team/nodeports/values/"+string(kv.Value)]
			if _, exists := held[value]; !exists || other == nil || string(other.Value) != permit {
				return fmt.Errorf("permit %s is that of %s, which has %v and is held: %v", permit, kv.Value, other, exists)
			}
		}
	}
	if r.quota == nil {
		return nil
	}
	shown, err := l.usageOf(r.t.Context(), r.quota)
	if err != nil || shown["nodeports"] != int64(r.used()) {
		return fmt.Errorf("the quota shows %v, %w, used are %d", shown, err, r.used())
	}
	return nil
}

// TestChargesAgainstModel has replicas write Services and change the quota at random. A write
// succeeds if it claims no more than it releases, or all that is used then is within the
// limit.
func TestChargesAgainstModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		random, r := rand.New(rand.NewPCG(seed, 2)), newReplicas(t)
		for step := range 120 {
			l := r.ledgers[random.IntN(len(r.ledgers))]
			if random.IntN(12) == 0 {
				var hard map[string]int64
				if random.IntN(4) > 0 {
					hard = map[string]int64{"nodeports": random.Int64N(9)}
				}
				if err := r.limit(r.quotas[random.IntN(len(r.quotas))], hard); err != nil {
					t.Fatalf("seed %d, step %d: the quota: %v", seed, step, err)
				}
				continue
			}
			name, before := fmt.Sprint("web-", random.IntN(6)), r.used()
			had := len(holdingsOf(r.stored[name]))
			nodePorts := r.freePorts(name, random)
			after := before - had + len(nodePorts)
			allowed := after <= before || r.quota == nil || int64(after) <= r.quota.Spec.Hard["nodeports"]
			err := r.write(l, name, nodePorts)
			if _, exceeded := errors.AsType[*exceededError](err); exceeded == allowed || err != nil && !exceeded {
				t.Fatalf("seed %d, step %d: from %d to %d with quota %v: %v", seed, step, before, after, r.quota, err)
			}
			if err := r.check(r.ledgers[random.IntN(len(r.ledgers))]); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
		}
	}
}

// freePorts returns node ports that no other Service holds, some of which the Service may hold.
func (r *replicas) freePorts(name string, random *rand.Rand) []int32 {
	taken := holdings{}
	for other, svc := range r.stored {
		if other != name {
			maps.Copy(taken, holdingsOf(svc))
		}
	}
	var free []int32
	for number := int32(30000); number < 30016 && len(free) < 4; number++ {
		if _, held := taken[port(number)]; !held && random.IntN(3) == 0 {
			free = append(free, number)
		}
	}
	return free[:random.IntN(len(free)+1)]
}
