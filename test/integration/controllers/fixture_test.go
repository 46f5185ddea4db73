package controllers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const namespace = "shop"

// fixture is a Portolan, a cluster that isn't real, and the controllers.
type fixture struct {
	t        *testing.T
	cluster  *fake.Clientset
	portolan versioned.Interface
	config   *rest.Config
	writes   *writes
}

// start runs a server until the test ends.
func start(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	server := framework.Start(t, func(o *options.Options) {
		o.ClusterIPRanges = []string{"10.96.0.0/16", "fd00:10:96::/112"}
	})
	framework.CreateNamespace(t, server.Config, namespace)
	f := &fixture{t: t, cluster: fake.NewClientset(), portolan: server.Client, config: server.Config, writes: &writes{}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a", Labels: map[string]string{corev1.LabelTopologyZone: "zone-a"}}}
	if err := f.cluster.Tracker().Add(node); err != nil {
		t.Fatal(err)
	}
	return f
}

// run runs controllers until the test ends, or what it returns is called. The
// name is what their writes are noted with; change may set their options, and
// may be nil.
func (f *fixture) run(name string, change func(*controllers.Options)) (stop func()) {
	f.t.Helper()
	o := controllers.NewOptions()
	o.LeaderElection.LeaderElect = false
	if change != nil {
		change(o)
	}
	config := rest.CopyConfig(f.config)
	config.Wrap(f.writes.by(name))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- controllers.Run(ctx, controllers.Config{Cluster: f.cluster, Portolan: config, Options: o})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			f.t.Errorf("the controllers ended with: %v", err)
		}
	})
	f.t.Cleanup(stop)
	return stop
}

// writes are the requests of the controllers that change something.
type writes struct {
	mu    sync.Mutex
	lines []string
	// cutOff has the controllers that can't reach the server.
	cutOff string
}

func (w *writes) cut(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutOff = name
}

func (w *writes) reaches(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cutOff != name
}

// by records the writes of one controller, and which of them were rejected.
func (w *writes) by(name string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if !w.reaches(name) {
				return nil, errors.New("the server is away")
			}
			if request.Method == http.MethodGet {
				return next.RoundTrip(request)
			}
			path := strings.Split(strings.TrimPrefix(request.URL.Path, "/apis/portolan.dev/v1/namespaces/"), "/")
			line := fmt.Sprintf("%s %s %s", name, request.Method, path[1])
			// Before it is sent: what it changes can be seen before the answer.
			w.note(line)
			response, err := next.RoundTrip(request)
			if err == nil && response.StatusCode >= http.StatusBadRequest {
				w.note(fmt.Sprint(line, " refused: ", response.StatusCode))
			}
			return response, err
		})
	}
}

func (w *writes) note(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
}

// take are the writes since the last time it was called, sorted.
func (w *writes) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.lines
	w.lines = nil
	slices.Sort(lines)
	return lines
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

func (f *fixture) createService(service *v1.Service) *v1.Service {
	f.t.Helper()
	created, err := f.portolan.PortolanV1().Services(service.Namespace).Create(f.t.Context(), service, metav1.CreateOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	return created
}

// newPod makes a Pod that app=name selects, with no condition.
func newPod(app, name string, change func(*corev1.Pod), ips ...string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: namespace, UID: types.UID("uid-" + name), ResourceVersion: "1", Labels: map[string]string{"app": app},
		},
		Spec:   corev1.PodSpec{NodeName: "node-a"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ips[0]},
	}
	for _, ip := range ips {
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	if change != nil {
		change(pod)
	}
	return pod
}

func ready(pod *corev1.Pod) {
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
}

func (f *fixture) createPod(pod *corev1.Pod) *corev1.Pod {
	f.t.Helper()
	created, err := f.cluster.CoreV1().Pods(pod.Namespace).Create(f.t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	return created
}

func (f *fixture) updatePod(pod *corev1.Pod, change func(*corev1.Pod)) {
	f.t.Helper()
	change(pod)
	if _, err := f.cluster.CoreV1().Pods(pod.Namespace).Update(f.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

// endpoints writes the stored Endpoints as "ready | not ready".
func (f *fixture) endpoints(name string) string {
	f.t.Helper()
	got, err := f.portolan.PortolanV1().Endpoints(namespace).Get(f.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return "none"
	}
	var ready, unready []string
	for _, subset := range got.Subsets {
		for _, address := range subset.Addresses {
			ready = append(ready, showAddress(address.IP, address.Hostname, subset.Ports))
		}
		for _, address := range subset.NotReadyAddresses {
			unready = append(unready, showAddress(address.IP, address.Hostname, subset.Ports))
		}
	}
	return strings.TrimSpace(strings.Join(ready, " ") + " | " + strings.Join(unready, " "))
}

func showAddress(ip, hostname string, ports []corev1.EndpointPort) string {
	if hostname != "" {
		ip = hostname + "=" + ip
	}
	for _, port := range ports {
		ip += fmt.Sprintf(":%d", port.Port)
	}
	return ip
}

func (f *fixture) slicesOf(name string) []v1.EndpointSlice {
	f.t.Helper()
	list, err := f.portolan.PortolanV1().EndpointSlices(namespace).List(f.t.Context(),
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
	if err != nil {
		f.t.Fatal(err)
	}
	return list.Items
}

// slices writes what all slices of a Service hold, sorted: an address, its ports
// and what conditions are true.
func (f *fixture) slices(name string) string {
	f.t.Helper()
	return showSlices(f.slicesOf(name))
}

// countIn is how many endpoints the slices of a Service have together.
func (f *fixture) countIn(name string) string {
	f.t.Helper()
	count := 0
	for _, slice := range f.slicesOf(name) {
		count += len(slice.Endpoints)
	}
	return fmt.Sprint(count)
}

// eventually waits until something is as wanted.
func (f *fixture) eventually(what string, get func() string, want string) {
	f.t.Helper()
	framework.Eventually(f.t, what, func(context.Context) (bool, error) {
		got := get()
		return got == want, fmt.Errorf("got %q, want %q", got, want)
	})
}

func (f *fixture) expect(name, endpoints, slices string) {
	f.t.Helper()
	f.eventually("Endpoints "+name, func() string { return f.endpoints(name) }, endpoints)
	f.eventually("EndpointSlices of "+name, func() string { return f.slices(name) }, slices)
}
