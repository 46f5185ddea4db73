//go:build e2e

package mirror

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	// clusterSlots and ownSlots are the Services that are created, changed and deleted, and
	// moving those that are adopted meanwhile.
	clusterSlots, ownSlots, moving = 800, 1000, 200
	// writers is how many clients each side has.
	writers = 4
	// kills is how often the leader is killed, and another replica.
	kills = 3
)

// TestLoad lets 2,000 Services come, change and go on both sides while Services are adopted
// and replicas and the mirror's leader are killed. Afterwards every Service of the cluster is
// copied, and no name, address or port is on both sides.
func TestLoad(t *testing.T) {
	f := newFixture(t)
	f.kubectl("create", "namespace", "moving")
	f.kubectl("create", "namespace", "churn")
	l := newLoad(f)
	sources := l.createMoving()
	stop := make(chan struct{})
	var churn sync.WaitGroup
	for writer := range writers {
		churn.Go(func() { l.churnCluster(writer, stop) })
		churn.Go(func() { l.churnOwn(writer, stop) })
	}
	l.filled.Wait()
	adopted := make(chan struct{})
	go func() {
		defer close(adopted)
		l.adoptAll()
	}()
	for range kills {
		leader := l.leader()
		l.restart(leader)
		l.restart((leader + 1) % len(l.replicas))
	}
	<-adopted
	close(stop)
	churn.Wait()
	if t.Failed() {
		return
	}
	l.expectNothingFound()
	l.expectMoved(sources)
	l.expectOwn()
	l.t.Logf("%d writes", l.steps)
}

// load is what runs in TestLoad.
type load struct {
	*fixture
	token    string
	ports    []string
	dirs     []string
	replicas []*framework.Process
	mu       sync.Mutex
	// clients are those of the replicas.
	clients []*kubernetes.Clientset
	// own has the names of Portolan's own Services after the last write, and steps is the
	// number of writes.
	own   map[string]bool
	steps int
	// filled waits until each writer has created all of its Services.
	filled sync.WaitGroup
}

func newLoad(f *fixture) *load {
	f.t.Helper()
	l := &load{fixture: f, token: f.root(), own: map[string]bool{}}
	for range 3 {
		l.ports, l.dirs = append(l.ports, framework.FreePort(f.t)), append(l.dirs, f.t.TempDir())
		l.replicas, l.clients = append(l.replicas, nil), append(l.clients, nil)
		l.start(len(l.replicas) - 1)
	}
	l.filled.Add(2 * writers)
	return l
}

// start starts a replica and waits until it serves.
func (l *load) start(replica int) {
	l.t.Helper()
	p := framework.Serve(l.t, l.dirs[replica], l.ports[replica], "--etcd-servers="+l.store.URL, "--kubeconfig="+l.kubeconfig,
		"--serve-core", "--mirror-cluster-services", "--service-cluster-ip-range=10.200.0.0/16", "--service-node-port-range=20000-22999",
		"--leader-elect-lease-duration=10s", "--leader-elect-renew-deadline=7s", "--leader-elect-retry-period=200ms")
	p.WaitReady(l.t)
	config := p.As(&rest.Config{BearerToken: l.token})
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	l.must(err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replicas[replica], l.clients[replica] = p, client
}

// restart kills a replica and starts it again.
func (l *load) restart(replica int) {
	l.t.Helper()
	l.replicas[replica].Kill(l.t)
	l.start(replica)
}

// client returns the client of one of the replicas, which may have been killed.
func (l *load) client(n int) *kubernetes.Clientset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clients[n%len(l.clients)]
}

// leader waits until one replica leads.
func (l *load) leader() (leader int) {
	l.t.Helper()
	framework.Eventually(l.t, "one replica leads", func(ctx context.Context) (bool, error) {
		leaders := 0
		for i := range l.replicas {
			metrics, err := l.client(i).RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
			if err != nil {
				return false, err
			}
			if strings.Contains(string(metrics), "\nportolan_controllers_leading 1\n") {
				leader = i
				leaders++
			}
		}
		return leaders == 1, fmt.Errorf("%d replicas lead", leaders)
	})
	return leader
}

// createMoving creates the Services that are adopted.
func (l *load) createMoving() []*corev1.Service {
	l.t.Helper()
	var created []*corev1.Service
	for i := range moving {
		service, err := l.cluster.CoreV1().Services("moving").Create(l.t.Context(), clusterService(fmt.Sprintf("m%d", i), 10, i),
			metav1.CreateOptions{})
		l.must(err)
		created = append(created, service)
	}
	return created
}

// clusterService returns a Service with an address that only Services of this slot have:
// kube-apiserver might give an address that it picks to a second Service once the first is
// adopted. Every fourth has a node port too.
func clusterService(name string, block, slot int) *corev1.Service {
	return newService(name, func(s *corev1.Service) {
		s.Spec.Selector = nil
		s.Spec.ClusterIP = fmt.Sprintf("10.96.%d.%d", block+slot/200, 1+slot%200)
		if slot%4 == 0 {
			s.Spec.Type, s.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, int32(30000+20*block+slot/4)
		}
	})
}

// adoptAll adopts the moving Services. A command that meets a killed replica is run again.
func (l *load) adoptAll() {
	for run := 0; l.t.Context().Err() == nil; run++ {
		server := l.replica(run)
		out, err := l.adopt(server, "-n", "moving")
		if err == nil && strings.Contains(out, "There is nothing to adopt.") && !strings.Contains(out, "not adopted") {
			return
		}
	}
}

func (l *load) replica(n int) gateway {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.replicas[n%len(l.replicas)]
	return gateway{Server: &framework.Server{Config: p.As(&rest.Config{BearerToken: l.token}), DataDir: p.DataDir}}
}

// expectNothingFound waits until the mirror has caught up, and portolan verify finds nothing.
func (l *load) expectNothingFound() {
	l.t.Helper()
	framework.Eventually(l.t, "portolan verify finds nothing", func(context.Context) (bool, error) {
		out, errOut, err := framework.Command(l.t, "verify", "--etcd-servers="+l.store.URL, "--kubeconfig="+l.kube.Kubeconfig)
		return err == nil && !strings.Contains(out, "not mirrored"), errors.New(out + errOut)
	})
}

// expectOwn wants exactly the Services that the writers have left.
func (l *load) expectOwn() {
	l.t.Helper()
	list, err := l.client(0).CoreV1().Services("churn").List(l.t.Context(), metav1.ListOptions{})
	l.must(err)
	delete(l.own, "")
	for i := range list.Items {
		name := list.Items[i].Name
		if _, mirrored := v1.MirroredFrom(&list.Items[i]); !mirrored && !l.own[name] {
			l.t.Errorf("%s is there and was deleted", name)
		}
		delete(l.own, name)
	}
	for name := range l.own {
		l.t.Errorf("%s is lost", name)
	}
}

// expectMoved wants the moving Services to be Portolan's own, and as they were.
func (l *load) expectMoved(sources []*corev1.Service) {
	l.t.Helper()
	left, err := l.cluster.CoreV1().Services("moving").List(l.t.Context(), metav1.ListOptions{})
	l.must(err)
	if len(left.Items) > 0 {
		l.t.Errorf("the cluster has %d Services still", len(left.Items))
	}
	moved, err := l.client(0).CoreV1().Services("moving").List(l.t.Context(), metav1.ListOptions{})
	l.must(err)
	have := map[string]corev1.Service{}
	for _, service := range moved.Items {
		have[service.Name] = service
	}
	for _, source := range sources {
		service := have[source.Name]
		if service.UID != source.UID || service.Spec.ClusterIP != source.Spec.ClusterIP || service.Annotations[v1.AnnotationAdoptedFrom] == "" ||
			service.Spec.Ports[0].NodePort != source.Spec.Ports[0].NodePort {
			l.t.Errorf("%s was %v and is %v", source.Name, source, service)
		}
	}
}
