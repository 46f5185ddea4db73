//go:build linux && e2e

package failover

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const (
	namespace    = "default"
	versionLabel = "test.portolan.dev/version"
	// clients are more than block during a fault.
	clients = 100
	// There are few names, addresses and ports, so that clients conflict.
	names           = 24
	staticAddresses = 12
	staticPorts     = 12
	staticBalancers = 12
	// clientTimeout is the timeout of one request.
	clientTimeout = 20 * time.Second
	// Clients retry after retryPeriod, and give up after patience.
	retryPeriod = 100 * time.Millisecond
	patience    = 2 * time.Minute
)

// client sends requests to the cluster's replicas, one after the other.
type client struct {
	cluster *cluster
	id      int
	random  *rand.Rand
}

// lastSeen has the last known state of each Service, by name. It is safe for
// concurrent use.
type lastSeen struct {
	mu       sync.Mutex
	services map[string]*corev1.Service
}

func (l *lastSeen) get(name string) *corev1.Service {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.services[name]
}

func (l *lastSeen) set(svc *corev1.Service) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.services[svc.Name] = svc
}

func (l *lastSeen) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.services, name)
}

// request sends one random request, and repeats it to a ready replica as long
// as the answer calls for a retry.
func (c *client) request() {
	answers := c.cluster.answers
	ask, phase := c.next(), answers.current()
	var last error
	err := wait.PollUntilContextTimeout(context.Background(), retryPeriod, patience, true, func(context.Context) (bool, error) {
		last = ask(c.cluster.pick(c.random))
		return !again(last), nil
	})
	if err != nil {
		last = fmt.Errorf("given up after %v: %w", patience, last)
	}
	answers.settle(phase, last)
}

// again reports whether clients retry after an answer: after a server error,
// too many requests, or no answer.
func again(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code >= http.StatusInternalServerError || apierrors.IsTooManyRequests(err)
	}
	return err != nil
}

// next chooses a request at random.
func (c *client) next() (ask func(*replica) error) {
	name := serviceName(c.random.IntN(names))
	svc := c.cluster.seen.get(name)
	switch n := c.random.IntN(20); {
	case n == 0:
		return c.list
	case n < 6:
		return func(r *replica) error { return c.get(r, name) }
	case n < 8 && c.cluster.kind.claims:
		return c.claimReader()
	case svc == nil:
		return c.creator(name)
	case n < 14:
		return c.updater(svc)
	}
	return func(r *replica) error { return c.remove(r, svc) }
}

// ask makes one request and records the answer.
func (c *client) ask(write bool, do func(context.Context) error) (call, answer time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), clientTimeout)
	defer cancel()
	history, phase := c.cluster.history, c.cluster.answers.current()
	call = history.now()
	err = do(ctx)
	answer = history.now()
	c.cluster.answers.add(phase, write, answer-call, err)
	return call, answer, err
}

// send makes a write, and adds it to the history with its result.
func (c *client) send(req request, do func(context.Context) error) (result, error) {
	var err error
	req.client, req.write = c.id, true
	req.call, req.answer, err = c.ask(true, do)
	req.result, req.taken = c.resultOf(err)
	c.cluster.history.add(req)
	return req.result, err
}

// resultOf classifies an answer. Only these prove that nothing was written.
func (c *client) resultOf(err error) (result, []string) {
	switch {
	case err == nil:
		return done, nil
	case apierrors.IsAlreadyExists(err):
		return exists, nil
	case apierrors.IsConflict(err):
		return conflict, nil
	case apierrors.IsNotFound(err):
		return absent, nil
	case apierrors.IsInvalid(err):
		var status apierrors.APIStatus
		errors.As(err, &status)
		var values []string
		for _, cause := range status.Status().Details.Causes {
			value, ok := takenValue(cause)
			if !ok {
				c.cluster.unexpected(err)
			}
			values = append(values, value)
		}
		return taken, values
	}
	return unknown, nil
}

// takenValue returns the value that an error says is held. Strings are quoted.
func takenValue(cause metav1.StatusCause) (string, bool) {
	if !strings.Contains(cause.Message, "already allocated") {
		return "", false
	}
	_, value, _ := strings.Cut(cause.Message, "Invalid value: ")
	value, _, _ = strings.Cut(value, ": ")
	value = strings.Trim(value, `[]"`)
	return value, value != ""
}

// see records the state of a Service.
func (c *client) see(obj *unstructured.Unstructured) *corev1.Service {
	svc, err := serviceOf(obj)
	if err != nil {
		c.cluster.unexpected(err)
		return &corev1.Service{}
	}
	c.cluster.seen.set(svc)
	c.cluster.history.see(versionOf(svc), string(svc.UID), valuesOf(svc))
	return svc
}

func (c *client) get(r *replica, name string) error {
	var obj *unstructured.Unstructured
	call, answer, err := c.ask(false, func(ctx context.Context) (err error) {
		obj, err = r.services().Get(ctx, name, metav1.GetOptions{})
		return err
	})
	req := request{client: c.id, call: call, answer: answer, name: name}
	switch {
	case err == nil:
		req.found = versionOf(c.see(obj))
	case apierrors.IsNotFound(err):
		c.cluster.seen.forget(name)
	default:
		return err
	}
	c.cluster.history.add(req)
	return err
}

// list counts as a read of every name.
func (c *client) list(r *replica) error {
	var found *unstructured.UnstructuredList
	call, answer, err := c.ask(false, func(ctx context.Context) (err error) {
		found, err = r.services().List(ctx, metav1.ListOptions{})
		return err
	})
	if err != nil {
		return err
	}
	there := map[string]version{}
	for i := range found.Items {
		svc := c.see(&found.Items[i])
		there[svc.Name] = versionOf(svc)
	}
	for i := range names {
		name := serviceName(i)
		c.cluster.history.add(request{client: c.id, call: call, answer: answer, name: name, found: there[name]})
	}
	return nil
}

// claimReader reads the holder of a value.
func (c *client) claimReader() func(*replica) error {
	value, resource := staticAddress(c.random.IntN(staticAddresses)), "ipaddresses"
	switch c.random.IntN(3) {
	case 0:
		value, resource = strconv.Itoa(int(staticPort(c.random.IntN(staticPorts)))), "nodeports"
	case 1:
		value, resource = balancerAddress(c.random.IntN(staticBalancers)), "loadbalancerips"
	}
	return func(r *replica) error {
		claims := r.client.Resource(r.kind.services.GroupVersion().WithResource(resource))
		var obj *unstructured.Unstructured
		call, answer, err := c.ask(false, func(ctx context.Context) (err error) {
			obj, err = claims.Get(ctx, value, metav1.GetOptions{})
			return err
		})
		req := request{client: c.id, call: call, answer: answer, value: value}
		switch {
		case err == nil:
			if req.holder, err = holderOf(obj); err != nil {
				c.cluster.unexpected(fmt.Errorf("the claim of %s: %w", value, err))
			}
		case !apierrors.IsNotFound(err):
			return err
		}
		c.cluster.history.add(req)
		return err
	}
}

// holderOf returns the UID of the only Service that holds a value.
func holderOf(claim *unstructured.Unstructured) (string, error) {
	holders, shared, err := unstructured.NestedSlice(claim.Object, "spec", "holders")
	if err != nil {
		return "", err
	}
	holder, _, err := unstructured.NestedMap(claim.Object, "spec", "parentRef")
	if shared && len(holders) == 1 {
		holder, _ = holders[0].(map[string]any)
	}
	uid, found := holder["uid"].(string)
	if err != nil || !found {
		return "", fmt.Errorf("it does not name one holder, error %w", err)
	}
	return uid, nil
}

func (c *client) nextVersion() version {
	return version(fmt.Sprintf("c%d-%d", c.id, c.cluster.writes.Add(1)))
}

// creator creates a Service. Each try writes a version of its own.
func (c *client) creator(name string) func(*replica) error {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}}
	svc.Spec.Ports = []corev1.ServicePort{{Name: "a", Port: 80}}
	if c.random.IntN(3) == 0 {
		svc.Spec.ClusterIP = staticAddress(c.random.IntN(staticAddresses))
	}
	c.change(svc)
	return func(r *replica) error {
		v := c.nextVersion()
		var answer *unstructured.Unstructured
		result, err := c.send(request{name: name, to: v}, func(ctx context.Context) (err error) {
			answer, err = r.services().Create(ctx, c.label(svc, v), metav1.CreateOptions{})
			return err
		})
		if result == done {
			c.see(answer)
		}
		return err
	}
}

// updater replaces a Service.
func (c *client) updater(known *corev1.Service) func(*replica) error {
	svc := known.DeepCopy()
	c.change(svc)
	return func(r *replica) error {
		v := c.nextVersion()
		var answer *unstructured.Unstructured
		req := request{name: svc.Name, from: versionOf(known), to: v}
		result, err := c.send(req, func(ctx context.Context) (err error) {
			answer, err = r.services().Update(ctx, c.label(svc, v), metav1.UpdateOptions{})
			return err
		})
		c.after(result, svc.Name)
		if result == done {
			c.see(answer)
		}
		return err
	}
}

func (c *client) remove(r *replica, known *corev1.Service) error {
	req := request{name: known.Name, from: versionOf(known)}
	result, err := c.send(req, func(ctx context.Context) error {
		return r.services().Delete(ctx, known.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &known.UID, ResourceVersion: ptr.To(known.ResourceVersion)}})
	})
	c.after(result, known.Name)
	return err
}

// after forgets the state of a Service that has changed, or may have.
func (c *client) after(result result, name string) {
	if result != taken {
		c.cluster.seen.forget(name)
	}
}

// change changes the type and the ports of a Service, and its load-balancer address, to named
// or picked ones.
func (c *client) change(svc *corev1.Service) {
	svc.Annotations = nil
	switch n := c.random.IntN(8); {
	case n < 2:
		svc.Spec.Type = corev1.ServiceTypeClusterIP
	case n < 5 && c.cluster.kind.claims:
		svc.Spec.Type = corev1.ServiceTypeLoadBalancer
		if c.random.IntN(2) == 0 {
			nameBalancerAddress(svc, c.random.IntN(staticBalancers))
		}
	default:
		svc.Spec.Type = corev1.ServiceTypeNodePort
	}
	svc.Spec.Ports = []corev1.ServicePort{{Name: "a", Port: 80}}
	if c.random.IntN(3) == 0 {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "b", Port: 443})
	}
	if svc.Spec.Type != corev1.ServiceTypeClusterIP && c.random.IntN(2) == 0 {
		svc.Spec.Ports[0].NodePort = staticPort(c.random.IntN(staticPorts))
	}
}

// label sets the version of a Service, and converts it to the resource's type.
func (c *client) label(svc *corev1.Service, v version) *unstructured.Unstructured {
	svc.Labels = map[string]string{versionLabel: string(v)}
	kind := c.cluster.kind.services.GroupVersion().WithKind("Service")
	svc.APIVersion, svc.Kind = kind.GroupVersion().String(), kind.Kind
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(svc)
	if err != nil {
		c.cluster.unexpected(err)
	}
	return &unstructured.Unstructured{Object: content}
}

func serviceOf(obj *unstructured.Unstructured) (*corev1.Service, error) {
	svc := &corev1.Service{}
	return svc, runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, svc)
}

func versionOf(svc *corev1.Service) version { return version(svc.Labels[versionLabel]) }

// valuesOf returns the addresses and ports that a Service holds.
func valuesOf(svc *corev1.Service) []string {
	values := slices.Clone(svc.Spec.ClusterIPs)
	for _, port := range svc.Spec.Ports {
		if port.NodePort != 0 {
			values = append(values, strconv.Itoa(int(port.NodePort)))
		}
	}
	// Others than these are not claimed.
	if meta.IsStatusConditionTrue(svc.Status.Conditions, v1.ServiceConditionLoadBalancerAddress) {
		for _, ingress := range svc.Status.LoadBalancer.Ingress {
			values = append(values, ingress.IP)
		}
	}
	return values
}

func serviceName(n int) string { return fmt.Sprintf("s%d", n) }

// The lowest 16 addresses and ports of a range are the static band, which
// automatic picks use last.
func staticAddress(n int) string { return fmt.Sprintf("10.96.0.%d", n+2) }

func staticPort(n int) int32 { return int32(30000 + n) }

func balancerAddress(n int) string { return fmt.Sprintf("192.0.2.%d", n+1) }

func nameBalancerAddress(svc *corev1.Service, n int) {
	svc.Annotations = map[string]string{v1.LoadBalancerIPsAnnotation: balancerAddress(n)}
}
