package kill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
)

const (
	namespace = "default"
	// opLabel numbers the writes of a client, so that a state is never taken
	// for an older one.
	opLabel        = "test.portolan.dev/op"
	maxClients     = 8
	slotsPerClient = 8
	portsPerSlot   = 2
)

// client writes Services of its own and remembers what it was told of each.
type client struct {
	t      *testing.T
	id     int
	random *rand.Rand
	// told are the Services as the server's last answers have them, by slot.
	// A slot has explicit node ports of its own.
	told [slotsPerClient]*v1.Service
	// gone are the names of Services that the server said it deleted.
	gone map[string]bool
	// doubt is the write that was not answered.
	doubt *doubt
	ops   int
}

type doubt struct {
	slot int
	name string
	verb string
}

func newClient(t *testing.T, id int, random *rand.Rand) *client {
	return &client{t: t, id: id, random: random, gone: map[string]bool{}}
}

// run writes through servers chosen at random until one of them doesn't answer
// or the context ends. An answer that is an error, or none from a server that
// was not killed, is a failure.
func (c *client) run(ctx context.Context, servers []versioned.Interface, killed *atomic.Bool) {
	for ctx.Err() == nil {
		services := servers[c.random.IntN(len(servers))].PortolanV1().Services(namespace)
		slot := c.random.IntN(slotsPerClient)
		pending := &doubt{slot: slot}
		var write func() (*v1.Service, error)
		// A write under way is not cancelled: its answer is wanted, or that
		// there is none because of the kill.
		background := context.WithoutCancel(ctx)
		c.ops++
		switch svc := c.told[slot]; {
		case svc == nil:
			created := c.newService(slot)
			pending.verb, pending.name = "create", created.Name
			write = func() (*v1.Service, error) { return services.Create(background, created, metav1.CreateOptions{}) }
		case c.random.IntN(4) == 0:
			pending.verb, pending.name = "delete", svc.Name
			write = func() (*v1.Service, error) { return nil, services.Delete(background, svc.Name, metav1.DeleteOptions{}) }
		case c.random.IntN(3) == 0:
			pending.verb, pending.name = "patch", svc.Name
			body := c.patch(svc)
			write = func() (*v1.Service, error) {
				return services.Patch(background, svc.Name, types.MergePatchType, body, metav1.PatchOptions{})
			}
		default:
			pending.verb, pending.name = "replace", svc.Name
			changed := c.change(slot, svc)
			write = func() (*v1.Service, error) { return services.Update(background, changed, metav1.UpdateOptions{}) }
		}
		answer, err := write()
		if err != nil {
			c.doubt = pending
			var status apierrors.APIStatus
			if errors.As(err, &status) || !killed.Load() {
				c.t.Errorf("client %d: %s of %s: %v", c.id, pending.verb, pending.name, err)
			}
			return
		}
		if pending.verb == "delete" {
			c.gone[pending.name] = true
		}
		c.told[slot] = answer
	}
}

func (c *client) newService(slot int) *v1.Service {
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("c%d-%d", c.id, c.ops), Labels: map[string]string{opLabel: strconv.Itoa(c.ops)}}}
	svc.Spec.Ports = []corev1.ServicePort{{Name: "a", Port: 80}}
	switch c.random.IntN(8) {
	case 0:
		svc.Spec.ClusterIP = corev1.ClusterIPNone
	case 1:
		svc.Spec.Type, svc.Spec.ExternalName = corev1.ServiceTypeExternalName, "example.com"
	default:
		c.setType(svc)
		svc.Spec.IPFamilyPolicy = c.policy()
	}
	if svc.Spec.Type == corev1.ServiceTypeNodePort && c.random.IntN(2) == 0 {
		svc.Spec.Ports[0].NodePort = c.staticPort(slot)
	}
	return svc
}

// change is a replace: of the type, of node ports, of the number of addresses.
func (c *client) change(slot int, told *v1.Service) *v1.Service {
	svc := told.DeepCopy()
	svc.Labels[opLabel] = strconv.Itoa(c.ops)
	spec := &svc.Spec
	if spec.ClusterIP == corev1.ClusterIPNone {
		return svc
	}
	switch c.random.IntN(5) {
	case 0:
		if spec.Type == corev1.ServiceTypeExternalName {
			spec.ExternalName = ""
			c.setType(svc)
		} else {
			spec.Type, spec.ExternalName = corev1.ServiceTypeExternalName, "example.com"
		}
	case 1:
		if spec.Type != corev1.ServiceTypeExternalName {
			spec.IPFamilyPolicy = c.policy()
		}
	case 2:
		if spec.Type == corev1.ServiceTypeNodePort || spec.Type == corev1.ServiceTypeLoadBalancer {
			spec.Ports[0].NodePort = c.staticPort(slot)
		}
	case 3:
		if len(spec.Ports) == 1 {
			spec.Ports = append(spec.Ports, corev1.ServicePort{Name: "b", Port: 443})
		} else {
			spec.Ports = spec.Ports[:1]
		}
	case 4:
		if spec.Type != corev1.ServiceTypeExternalName {
			c.setType(svc)
		}
	}
	return svc
}

func (c *client) setType(svc *v1.Service) {
	svc.Spec.Type = []corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer}[c.random.IntN(3)]
	svc.Spec.ExternalTrafficPolicy = ""
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer && c.random.IntN(2) == 0 {
		svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	if svc.Spec.Type == corev1.ServiceTypeClusterIP {
		for i := range svc.Spec.Ports {
			svc.Spec.Ports[i].NodePort = 0
		}
	}
	if svc.Spec.ExternalTrafficPolicy == "" {
		svc.Spec.HealthCheckNodePort = 0
	}
}

func (c *client) patch(told *v1.Service) []byte {
	body := map[string]any{"metadata": map[string]any{"labels": map[string]string{opLabel: strconv.Itoa(c.ops)}}}
	if told.Spec.ClusterIP != corev1.ClusterIPNone && told.Spec.Type != corev1.ServiceTypeExternalName {
		body["spec"] = map[string]any{"type": []string{"ClusterIP", "NodePort", "LoadBalancer"}[c.random.IntN(3)]}
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		c.t.Error(err)
	}
	return encoded
}

func (c *client) policy() *corev1.IPFamilyPolicy {
	return ptr.To([]corev1.IPFamilyPolicy{corev1.IPFamilyPolicySingleStack, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack}[c.random.IntN(3)])
}

func (c *client) staticPort(slot int) int32 {
	return int32(firstStaticPort + (c.id*slotsPerClient+slot)*portsPerSlot + c.random.IntN(portsPerSlot))
}

// compare holds what is there against what the clients were told. What is in
// doubt may be as before the write or as after it.
func compare(t *testing.T, clients []*client, found []v1.Service) {
	t.Helper()
	byName := map[string]*v1.Service{}
	for i := range found {
		byName[found[i].Name] = &found[i]
	}
	for _, c := range clients {
		for name := range c.gone {
			if byName[name] != nil {
				t.Errorf("%s is there, its deletion was confirmed", name)
				delete(byName, name)
			}
		}
		if d := c.doubt; d != nil {
			svc, told := byName[d.name], c.told[d.slot]
			delete(byName, d.name)
			switch {
			case svc == nil && (d.verb == "create" || d.verb == "delete"):
			case svc == nil:
				t.Errorf("%s is not there after an unanswered %s", d.name, d.verb)
			case told != nil && svc.UID != told.UID:
				t.Errorf("%s is another than the one that was confirmed", d.name)
			case told != nil && svc.Labels[opLabel] == told.Labels[opLabel] && !same(svc, told):
				t.Errorf("%s is not as it was confirmed, after an unanswered %s:\n%+v\n%+v", d.name, d.verb, svc.Spec, told.Spec)
			case told != nil && d.verb == "delete" && !same(svc, told),
				svc.Labels[opLabel] != strconv.Itoa(c.ops) && (told == nil || svc.Labels[opLabel] != told.Labels[opLabel]):
				t.Errorf("%s is neither as before an unanswered %s nor as after it", d.name, d.verb)
			}
		}
		for slot, told := range c.told {
			if told == nil || c.doubt != nil && c.doubt.slot == slot {
				continue
			}
			svc := byName[told.Name]
			delete(byName, told.Name)
			switch {
			case svc == nil:
				t.Errorf("%s was confirmed and is not there", told.Name)
			case !same(svc, told):
				t.Errorf("%s is not as it was confirmed:\n%+v %+v\n%+v %+v", told.Name, svc.Labels, svc.Spec, told.Labels, told.Spec)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		t.Errorf("%s is there and nobody created it", name)
	}
}

func same(a, b *v1.Service) bool {
	return a.UID == b.UID && maps.Equal(a.Labels, b.Labels) && equality.Semantic.DeepEqual(served(a), served(b))
}

// served is the spec as clients see it: the internal traffic policy that an
// ExternalName Service keeps from an earlier type is dropped on read.
func served(svc *v1.Service) corev1.ServiceSpec {
	spec := svc.Spec
	if spec.Type == corev1.ServiceTypeExternalName {
		spec.InternalTrafficPolicy = nil
	}
	return spec
}

// settle takes what a server says now for what became of writes in doubt, and
// its resource versions.
func settle(clients []*client, found []v1.Service) {
	for _, c := range clients {
		d := c.doubt
		if d == nil {
			continue
		}
		c.told[d.slot], c.doubt = nil, nil
		for i := range found {
			if found[i].Name == d.name {
				c.told[d.slot] = &found[i]
			}
		}
		if c.told[d.slot] == nil {
			c.gone[d.name] = true
		}
	}
}
