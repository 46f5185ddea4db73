package api

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// advertised starts a server that others reach at an address.
func advertised(t *testing.T, store *framework.Etcd, address string) *framework.Server {
	t.Helper()
	return framework.StartAll(t, func(o *options.Options) {
		framework.On(store)(o)
		o.Run.AdvertiseAddress = net.ParseIP(address)
	})
}

func at(address string, server *framework.Server) string {
	return fmt.Sprintf("%s:%d", address, server.Options.SecureServing.BindPort)
}

// TestKubernetesService is about the Service that leads to the servers: it comes
// back, and its endpoints are the servers that run, each on a port of its own.
func TestKubernetesService(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	etcd := framework.StartEtcd(t)
	first, second := advertised(t, etcd, "192.0.2.1"), advertised(t, etcd, "192.0.2.2")
	client := coreClient(t, first)
	framework.Await(t, "the Service", func(ctx context.Context) (bool, error) {
		service, err := client.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil && service.Spec.ClusterIP == "10.96.0.1" && service.Spec.Ports[0].Port == 443 &&
			service.Labels["component"] == "apiserver", err
	})
	expectServers(t, client, at("192.0.2.1", first), at("192.0.2.2", second))
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	expectServers(t, client, at("192.0.2.1", first))

	if err := client.CoreV1().Services("default").Delete(ctx, "kubernetes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expectServers(t, client, at("192.0.2.1", first))
	framework.Verify(t, etcd.Client)
}

// TestServersDoNotOverwriteEachOther has servers on ports of their own, and one
// on the address of another. Each writes the endpoints of all. So each change is
// written once, and what changes nothing isn't written.
func TestServersDoNotOverwriteEachOther(t *testing.T) {
	t.Parallel()
	etcd := framework.StartEtcd(t)
	servers := []*framework.Server{advertised(t, etcd, "192.0.2.1"), advertised(t, etcd, "192.0.2.2"), advertised(t, etcd, "192.0.2.1")}
	client := coreClient(t, servers[0])
	all := []string{at("192.0.2.1", servers[0]), at("192.0.2.2", servers[1]), at("192.0.2.1", servers[2])}
	expectServers(t, client, all...)
	const keys = "/registry/portolan.dev/servers/"
	do := func(ops ...clientv3.Op) {
		t.Helper()
		if _, err := etcd.Client.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	// written is how often the Endpoints were.
	written := func() int64 {
		t.Helper()
		answer, err := etcd.Client.Get(t.Context(), "/registry/portolan.dev/endpoints/default/kubernetes")
		if err != nil {
			t.Fatal(err)
		}
		return answer.Kvs[0].Version
	}
	before := written()
	for range 3 {
		// Each server looks at everything again.
		do(clientv3.OpPut(keys+"nobody", ""))
		// A server that was killed loses its keys at once, with its lease.
		do(clientv3.OpDelete(keys+all[1]), clientv3.OpDelete(keys+"192.0.2.2"))
		expectServers(t, client, all[0], all[2])
		do(clientv3.OpPut(keys+all[1], ""))
		expectServers(t, client, all...)
	}
	if got := written() - before; got != 6 {
		t.Errorf("six changes were written %d times", got)
	}
	if err := servers[2].Stop(); err != nil {
		t.Fatal(err)
	}
	expectServers(t, client, all[0], all[1])
}

// TestKubernetesServiceWithoutAnAddress has its address taken. The server says
// so in an event, once, and makes the Service when the address is free.
func TestKubernetesServiceWithoutAnAddress(t *testing.T) {
	t.Parallel()
	etcd := framework.StartEtcd(t)
	before := coreClient(t, framework.Start(t, framework.On(etcd)))
	thief, err := before.CoreV1().Services("default").Create(t.Context(),
		coreService("thief", func(spec *corev1.ServiceSpec) { spec.ClusterIP = "10.96.0.1" }), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	server := advertised(t, etcd, "192.0.2.1")
	client := coreClient(t, server)
	events := func(ctx context.Context) ([]corev1.Event, error) {
		list, err := client.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "reason=ServiceNotKept"})
		if err != nil {
			return nil, err
		}
		return list.Items, nil
	}
	framework.Await(t, "an event", func(ctx context.Context) (bool, error) {
		items, err := events(ctx)
		return len(items) == 1 && strings.Contains(items[0].Message, "10.96.0.1") &&
			strings.Contains(items[0].Message, "--kubernetes-service=false"), err
	})
	if err := client.CoreV1().Services("default").Delete(t.Context(), thief.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expectServers(t, client, at("192.0.2.1", server))
	if items, err := events(t.Context()); err != nil || len(items) != 1 || items[0].Count > 1 {
		t.Errorf("the events are %+v, %v", items, err)
	}
}

// expectServers waits until Endpoints and slices have the servers, and nobody
// else.
func expectServers(t *testing.T, client kubernetes.Interface, want ...string) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	framework.Eventually(t, fmt.Sprintf("Endpoints and slices have %v", want), func(ctx context.Context) (bool, error) {
		endpoints, err := client.CoreV1().Endpoints("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		if err != nil {
			if !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
			return false, err
		}
		list, err := client.DiscoveryV1().EndpointSlices("default").List(ctx,
			metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=kubernetes"})
		if err != nil {
			t.Fatal(err)
		}
		var inEndpoints, inSlices []string
		for _, subset := range endpoints.Subsets {
			for _, address := range subset.Addresses {
				inEndpoints = append(inEndpoints, fmt.Sprintf("%s:%d", address.IP, subset.Ports[0].Port))
			}
		}
		for _, slice := range list.Items {
			for _, endpoint := range slice.Endpoints {
				inSlices = append(inSlices, fmt.Sprintf("%s:%d", endpoint.Addresses[0], *slice.Ports[0].Port))
			}
		}
		slices.Sort(inEndpoints)
		slices.Sort(inSlices)
		return slices.Equal(inEndpoints, want) && slices.Equal(inSlices, want),
			fmt.Errorf("Endpoints have %v and slices %v", inEndpoints, inSlices)
	})
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// TestKubernetesServiceOnLoopback leads nowhere, since there is nowhere to lead.
func TestKubernetesServiceOnLoopback(t *testing.T) {
	t.Parallel()
	client := coreClient(t, framework.StartAll(t, nil))
	// The lease of an address is an embedded etcd's, too.
	other := framework.StartAll(t, func(o *options.Options) { o.Run.AdvertiseAddress = net.ParseIP("192.0.2.1") })
	expectServers(t, coreClient(t, other), at("192.0.2.1", other))
	framework.Await(t, "the Service", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		return err == nil, ignoreNotFound(err)
	})
	if _, err := client.CoreV1().Endpoints("default").Get(t.Context(), "kubernetes", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("Endpoints of a server on loopback: %v", err)
	}
}

// TestDiscovery says where the server is, and how everything is stored.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	for name, advertised := range map[string]net.IP{"127.0.0.1": nil, "192.0.2.1": net.IPv4(192, 0, 2, 1)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := framework.Start(t, func(o *options.Options) { o.Run.AdvertiseAddress = advertised })
			client := coreClient(t, server).Discovery()
			var versions metav1.APIVersions
			if err := client.RESTClient().Get().AbsPath("/api").Do(t.Context()).Into(&versions); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("%s:%d", name, server.Options.SecureServing.BindPort)
			if got := versions.ServerAddressByClientCIDRs; len(got) != 1 || got[0].ServerAddress != want {
				t.Errorf("the server is at %+v, want %s", got, want)
			}
			resources, err := client.ServerResourcesForGroupVersion("v1")
			if err != nil {
				t.Fatal(err)
			}
			for _, resource := range resources.APIResources {
				stored := !strings.Contains(resource.Name, "/") && slices.Contains(resource.Verbs, "create")
				if stored != (resource.StorageVersionHash != "") {
					t.Errorf("%s: the hash of its version in the store is %q", resource.Name, resource.StorageVersionHash)
				}
			}
		})
	}
}
