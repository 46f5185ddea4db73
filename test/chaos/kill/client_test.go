package kill

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"
)

const (
	namespace  = "default"
	maxClients = 8
	// A client has at most one object in each slot.
	serviceSlots   = 8
	slotsPerClient = serviceSlots + 3
	portsPerSlot   = 2
	maxAbandoned   = 12

	// Verbs in the journal.
	create      = "create"
	replace     = "replace"
	patch       = "patch"
	remove      = "delete"
	fieldOwner  = "kill"
	requestTime = time.Minute
)

// kind is a resource, and how clients write it.
type kind struct {
	resource, name string
	// groups are the API groups that serve it.
	groups []schema.GroupVersion
	// content returns a new object without metadata.
	content func(c *client, slot int) map[string]any
	// change changes an object for an update.
	change func(c *client, slot int, object map[string]any)
	// merge returns a merge patch without metadata. It may be nil.
	merge func(c *client, object map[string]any) map[string]any
}

// slot holds one object of a client.
type slot struct {
	kind *kind
	name string
	// known is the object in the server's last answer, or nil.
	known *unstructured.Unstructured
	// doubt says that a write had no answer. The client does not write the
	// object until the outcome is known.
	doubt bool
}

// client writes objects of its own, one request after the other.
type client struct {
	t       *testing.T
	id      int
	random  *rand.Rand
	journal *journal
	slots   [slotsPerClient]slot
	ops     int
	// abandoned counts the objects in doubt whose slots got new objects.
	abandoned int
}

func newClient(t *testing.T, id int, random *rand.Rand, j *journal) *client {
	c := &client{t: t, id: id, random: random, journal: j}
	for i := range c.slots {
		c.slots[i].kind = &services
		if i >= serviceSlots {
			c.slots[i].kind = others[i-serviceSlots]
		}
	}
	return c
}

// life is a period in which clients write to servers.
type life struct {
	servers []dynamic.Interface
	// ended says that a server was killed and may not answer.
	ended atomic.Bool
	// lossy says that answers may be lost while the server runs. Clients then
	// use new objects, at most maxAbandoned each.
	lossy bool
	// slow says that the server may fail to write, or time out.
	slow bool
	// bound limits a request; if it is nil, the limit is requestTime.
	bound func(context.Context, *rand.Rand) (context.Context, context.CancelFunc)
	// acknowledged is called after each acknowledgement, with the count.
	acknowledged func(n int64)
	count        atomic.Int64
	// unanswered and refused count the other answers.
	unanswered, refused atomic.Int64
}

// write is the next request of a client.
type write struct {
	verb   string
	op     string
	object *unstructured.Unstructured
	send   func(context.Context, dynamic.ResourceInterface) (*unstructured.Unstructured, error)
}

// run writes until the context ends or a killed server does not answer. Answers
// that the life does not allow are failures.
func (c *client) run(ctx context.Context, l *life) {
	for ctx.Err() == nil {
		free := c.free()
		if len(free) == 0 {
			return
		}
		if !c.write(l, free[c.random.IntN(len(free))]) {
			return
		}
	}
}

// free returns the slots that are not in doubt.
func (c *client) free() (free []int) {
	for i := range c.slots {
		if !c.slots[i].doubt {
			free = append(free, i)
		}
	}
	return free
}

// write makes one request, adds it to the journal, and reports whether the
// client can continue.
func (c *client) write(l *life, number int) bool {
	s := &c.slots[number]
	group := s.kind.groups[c.random.IntN(len(s.kind.groups))]
	w := c.next(number, group)
	k := key{s.kind.resource, s.name}
	c.journal.append(c.t, entry{Event: sent, Key: k, Verb: w.verb, Op: w.op}, w.object)

	// The end of the load does not cancel a write under way, because its
	// outcome matters.
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	if l.bound != nil {
		ctx, cancel = l.bound(ctx, c.random)
		defer cancel()
	}
	resource := l.servers[c.random.IntN(len(l.servers))].Resource(group.WithResource(s.kind.resource)).Namespace(namespace)
	answer, err := w.send(ctx, resource)
	if err == nil {
		s.known = answer
		c.journal.append(c.t, entry{Event: acknowledged, Key: k, Op: w.op}, answer)
		n := l.count.Add(1)
		if l.acknowledged != nil {
			l.acknowledged(n)
		}
		return true
	}
	return c.failed(l, s, entry{Key: k, Op: w.op, Verb: w.verb, Error: err.Error()}, err)
}

// failed adds to the journal that a write was not acknowledged.
func (c *client) failed(l *life, s *slot, e entry, err error) (goOn bool) {
	e.Event = unanswered
	var status apierrors.APIStatus
	answered := errors.As(err, &status)
	switch {
	case answered && l.slow && apierrors.IsTimeout(err) && strings.Contains(err.Error(), "may have been carried out"):
	case answered && l.slow && saysNothingWasDone(status.Status()), answered && l.lossy && saysTaken(err):
		e.Event = refused
	case answered, !l.ended.Load() && !l.lossy:
		c.t.Errorf("client %d: %s of %s: %v", c.id, e.Verb, e.Key, err)
	}
	c.journal.append(c.t, e, nil)
	if e.Event == refused {
		l.refused.Add(1)
		return true
	}
	l.unanswered.Add(1)
	s.doubt = true
	if l.lossy && c.abandoned < maxAbandoned {
		c.abandoned++
		s.known, s.doubt = nil, false
	}
	return !l.ended.Load()
}

// saysNothingWasDone reports whether the server gave up before it wrote: it was
// overloaded, or etcd did not answer a read.
func saysNothingWasDone(status metav1.Status) bool {
	switch status.Code {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return true
	case http.StatusGatewayTimeout:
		return strings.Contains(status.Message, "etcd did not answer")
	}
	return false
}

// saysTaken reports whether a node port was taken: it may belong to a Service
// whose create had no answer.
func saysTaken(err error) bool {
	return apierrors.IsInvalid(err) && strings.Contains(err.Error(), "provided port is already allocated")
}

// next chooses a write at random.
func (c *client) next(number int, group schema.GroupVersion) write {
	s := &c.slots[number]
	c.ops++
	w := write{op: fmt.Sprintf("%d-%d", c.id, c.ops)}
	labels := map[string]any{opLabel: w.op}
	switch {
	case s.known == nil:
		s.name = fmt.Sprintf("c%d-%d", c.id, c.ops)
		w.verb, w.object = create, &unstructured.Unstructured{Object: s.kind.content(c, number)}
		w.object.Object["metadata"] = map[string]any{"name": s.name, "labels": labels}
		w.object.SetGroupVersionKind(group.WithKind(s.kind.name))
		w.send = func(ctx context.Context, r dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
			return r.Create(ctx, w.object, metav1.CreateOptions{FieldManager: fieldOwner})
		}
	case c.random.IntN(4) == 0:
		w.verb, w.send = remove, c.remover(s)
	case c.random.IntN(3) == 0:
		content := map[string]any{"metadata": map[string]any{"labels": labels}}
		if s.kind.merge != nil {
			maps.Copy(content, s.kind.merge(c, s.known.Object))
		}
		w.verb, w.object = patch, &unstructured.Unstructured{Object: content}
		w.send = func(ctx context.Context, r dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
			body, err := json.Marshal(content)
			if err != nil {
				return nil, err
			}
			return r.Patch(ctx, s.name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: fieldOwner})
		}
	default:
		w.verb, w.object = replace, s.known.DeepCopy()
		s.kind.change(c, number, w.object.Object)
		w.object.SetLabels(map[string]string{opLabel: w.op})
		w.object.SetGroupVersionKind(group.WithKind(s.kind.name))
		w.send = func(ctx context.Context, r dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
			return r.Update(ctx, w.object, metav1.UpdateOptions{FieldManager: fieldOwner})
		}
	}
	return w
}

// remover deletes an object by its name or by its label.
func (c *client) remover(s *slot) func(context.Context, dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
	byLabel, uid := c.random.IntN(4) == 0, s.known.GetUID()
	selector := metav1.ListOptions{LabelSelector: opLabel + "=" + opOf(s.known.Object)}
	return func(ctx context.Context, r dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
		options := metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}
		if byLabel {
			return nil, r.DeleteCollection(ctx, options, selector)
		}
		options.Preconditions = &metav1.Preconditions{UID: &uid}
		return nil, r.Delete(ctx, s.name, options)
	}
}

// refresh reads the outcome of writes in doubt from the journal.
func (c *client) refresh() {
	c.abandoned = 0
	for i := range c.slots {
		s := &c.slots[i]
		if !s.doubt {
			continue
		}
		s.known, s.doubt = nil, false
		if object := c.journal.records[key{s.kind.resource, s.name}].object; object != nil {
			s.known = (&unstructured.Unstructured{Object: object}).DeepCopy()
		}
	}
}
