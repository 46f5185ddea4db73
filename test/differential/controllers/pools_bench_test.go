//go:build e2e

package controllers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// pool is the network of both pools. RFC 2544 has it for benchmarks.
const pool = "198.18.0.0/16"

// balancer is a server that gives Services load-balancer addresses.
type balancer struct {
	client kubernetes.Interface
	// cpu returns the CPU time of the server so far, and that of the etcd and the
	// controllers that it needs.
	cpu func() time.Duration
}

// BenchmarkPools measures the time from the creation of a Service of type LoadBalancer until
// the answer or an informer shows its address, with one client and with 32. Each waits for
// an address before it creates the next Service. MetalLB's controller, with its defaults, is
// measured on kube-apiserver as well.
func BenchmarkPools(b *testing.B) {
	for _, load := range []struct {
		name             string
		clients, created int
	}{{"1 client", 1, 200}, {"32 clients", 32, 1000}} {
		for _, side := range []struct {
			name  string
			start func(*testing.B) balancer
		}{{"portolan", startPools}, {"metallb", startMetalLB}} {
			b.Run(load.name+"/"+side.name, func(b *testing.B) {
				server := side.start(b)
				// The first ones fill caches and open connections.
				server.create(b, "warm", load.clients, load.clients)
				var took []time.Duration
				before, begin := server.cpu(), time.Now()
				for b.Loop() {
					took = append(took, server.create(b, fmt.Sprint("svc-", len(took)), load.created, load.clients)...)
				}
				b.ReportMetric(float64(len(took))/time.Since(begin).Seconds(), "services/s")
				b.ReportMetric(float64((server.cpu()-before).Microseconds())/1000/float64(len(took)), "cpu-ms/service")
				report(b, took)
			})
		}
	}
}

func startPools(b *testing.B) balancer {
	b.Helper()
	p := framework.Serve(b, b.TempDir(), framework.FreePort(b))
	p.WaitReady(b)
	kubectl := framework.NewKubectl(b, filepath.Join(p.DataDir, "admin.kubeconfig"))
	kubectl.Feed(`{"apiVersion": "portolan.dev/v1", "kind": "LoadBalancerPool", "metadata": {"name": "bench"}, "spec": {"cidrs": ["`+pool+`"]}}`,
		"create", "-f", "-")
	client, err := kubernetes.NewForConfig(p.Config(b))
	if err != nil {
		b.Fatal(err)
	}
	return balancer{client, func() time.Duration { return p.Usage(b).CPU }}
}

func startMetalLB(b *testing.B) balancer {
	b.Helper()
	const namespace = "metallb-system"
	kube := framework.StartKube(b)
	kubectl := framework.NewKubectl(b, kube.Kubeconfig)
	module := framework.Module(b, "go.universe.tf/metallb", "hack", "metallb")
	kubectl.Run("apply", "--server-side", "-f", filepath.Join(module, "config", "crd", "bases"))
	kubectl.Run("wait", "--for=condition=Established", "--timeout=180s", "crd", "--all")
	kubectl.Run("create", "namespace", namespace)
	kubectl.Feed(`{"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "bench"}, "spec": {"addresses": ["`+pool+`"]}}`,
		"create", "--namespace="+namespace, "-f", "-")
	command := exec.Command(framework.Program(b, "metallb-controller"), "--namespace="+namespace, "--webhook-mode=disabled",
		"--port="+framework.FreePort(b), "--log-level=error")
	command.Env = append(os.Environ(), "KUBECONFIG="+kube.Kubeconfig)
	controller := framework.LaunchCommand(b, b.TempDir(), "metallb-controller", command)
	client, err := kubernetes.NewForConfig(kube.Config)
	if err != nil {
		b.Fatal(err)
	}
	return balancer{client, func() time.Duration {
		_, api, err := kube.Usage()
		var own upstream.Usage
		if err == nil {
			own, err = controller.Usage()
		}
		if err != nil {
			b.Fatal(err)
		}
		return api.CPU + own.CPU
	}}
}

// create creates Services and returns how long each of them waited for its address. A client
// creates the next one then.
func (s balancer) create(b *testing.B, prefix string, count, clients int) []time.Duration {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	addressed := map[string]chan struct{}{}
	for i := range count {
		addressed[fmt.Sprint(prefix, "-", i)] = make(chan struct{})
	}
	announced := map[string]bool{}
	watching := s.watch(ctx, b, func(service *corev1.Service) {
		if waits := addressed[service.Name]; waits != nil && hasAddress(service) && !announced[service.Name] {
			announced[service.Name] = true
			close(waits)
		}
	})
	took := make([]time.Duration, count)
	var creating sync.WaitGroup
	for client := range clients {
		creating.Go(func() {
			for i := client; i < count; i += clients {
				name := fmt.Sprint(prefix, "-", i)
				begin := time.Now()
				if err := s.createOne(ctx, name, addressed[name]); err != nil {
					b.Errorf("%s: %v", name, err)
					return
				}
				took[i] = time.Since(begin)
			}
		})
	}
	creating.Wait()
	cancel()
	<-watching
	return took
}

// createOne creates a Service and returns when it has its address: in the answer, or later.
func (s balancer) createOne(ctx context.Context, name string, addressed <-chan struct{}) error {
	made, err := s.client.CoreV1().Services(metav1.NamespaceDefault).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: ptr.To(false), Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, metav1.CreateOptions{})
	if err != nil || hasAddress(made) {
		return err
	}
	select {
	case <-addressed:
		return nil
	case <-time.After(framework.Patience):
		return fmt.Errorf("no address after %v", framework.Patience)
	}
}

func hasAddress(service *corev1.Service) bool { return len(service.Status.LoadBalancer.Ingress) > 0 }

// watch calls see for each state of a Service, from one goroutine, until the context ends.
// The channel is closed then.
func (s balancer) watch(ctx context.Context, b *testing.B, see func(*corev1.Service)) <-chan struct{} {
	b.Helper()
	informer := informers.NewSharedInformerFactory(s.client, 0).Core().V1().Services().Informer()
	seen, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { see(obj.(*corev1.Service)) },
		UpdateFunc: func(_, obj any) { see(obj.(*corev1.Service)) },
	})
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		informer.RunWithContext(ctx)
	}()
	if !cache.WaitForCacheSync(ctx.Done(), seen.HasSynced) {
		b.Fatal("the informer has no Services")
	}
	return ended
}
