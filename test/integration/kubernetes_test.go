package integration

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/harness"
)

// TestKubernetesService is about the Service that leads to the servers: it comes
// back, and its endpoints are the servers that run.
func TestKubernetesService(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	etcd := harness.StartEtcd(t)
	at := func(address string) *harness.Server {
		return harness.StartAll(t, func(o *options.Options) {
			harness.On(etcd)(o)
			o.Run.AdvertiseAddress = net.ParseIP(address)
		})
	}
	first, second := at("192.0.2.1"), at("192.0.2.2")
	client := coreClient(t, first)
	eventually(t, "the Service", func(ctx context.Context) (bool, error) {
		service, err := client.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil && service.Spec.ClusterIP == "10.96.0.1" && service.Spec.Ports[0].Port == 443 && service.Labels["component"] == "apiserver", err
	})
	expectServers(t, client, "192.0.2.1", "192.0.2.2")
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	expectServers(t, client, "192.0.2.1")

	if err := client.CoreV1().Services("default").Delete(ctx, "kubernetes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expectServers(t, client, "192.0.2.1")
	harness.Verify(t, etcd.Client)
}

// expectServers waits until Endpoints and slice have the addresses.
func expectServers(t *testing.T, client kubernetes.Interface, want ...string) {
	t.Helper()
	eventually(t, "the servers", func(ctx context.Context) (bool, error) {
		endpoints, err := client.CoreV1().Endpoints("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		if err != nil {
			return false, ignoreNotFound(err)
		}
		slice, err := client.DiscoveryV1().EndpointSlices("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		if err != nil {
			return false, ignoreNotFound(err)
		}
		var inEndpoints, inSlice []string
		for _, address := range endpoints.Subsets[0].Addresses {
			inEndpoints = append(inEndpoints, address.IP)
		}
		for _, endpoint := range slice.Endpoints {
			inSlice = append(inSlice, endpoint.Addresses...)
		}
		return slices.Equal(inEndpoints, want) && slices.Equal(inSlice, want) && endpoints.Subsets[0].Ports[0].Protocol == corev1.ProtocolTCP, nil
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
	client := coreClient(t, harness.StartAll(t, nil))
	// The lease of an address is an embedded etcd's, too.
	other := coreClient(t, harness.StartAll(t, func(o *options.Options) { o.Run.AdvertiseAddress = net.ParseIP("192.0.2.1") }))
	expectServers(t, other, "192.0.2.1")
	eventually(t, "the Service", func(ctx context.Context) (bool, error) {
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
			server := harness.Start(t, func(o *options.Options) { o.Run.AdvertiseAddress = advertised })
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
				if stored := !strings.Contains(resource.Name, "/"); stored != (resource.StorageVersionHash != "") {
					t.Errorf("%s: the hash of its version in the store is %q", resource.Name, resource.StorageVersionHash)
				}
			}
		})
	}
}
