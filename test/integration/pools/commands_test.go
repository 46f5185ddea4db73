package pools

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/cmd"
	"github.com/portolan-dev/portolan/pkg/occupancy"
	"github.com/portolan-dev/portolan/test/framework"
)

// portolan runs a command to its end with the administrator's kubeconfig.
func portolan(t *testing.T, server *framework.Server, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	command := cmd.NewCommand()
	command.SetArgs(append(args, "--kubeconfig="+server.Kubeconfig))
	command.SetOut(&out)
	command.SetErr(&out)
	command.SilenceErrors = true
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

// TestCommands shows and drains a pool whose address two Services share.
func TestCommands(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, dualStack)
	newPool(t, server, "public", cidrs("192.0.2.8/30", "2001:db8::/126"))
	dual, at := withFamilies(corev1.IPFamilyPolicyRequireDualStack), annotated(v1.LoadBalancerIPsAnnotation, "192.0.2.8")
	create(t, server, balancer("web", sharing("k"), at, dual))
	create(t, server, balancer("tls", sharing("k"), at, onPort(443)))

	text, err := portolan(t, server, "ranges", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var usages []occupancy.Usage
	if err := json.Unmarshal([]byte(text), &usages); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(usages, func(u occupancy.Usage) bool { return u.Class == "LoadBalancerIPv4" })
	if i < 0 || len(usages) <= i+1 || usages[i+1].Class != "LoadBalancerIPv6" {
		t.Fatalf("got %s", text)
	}
	for _, usage := range usages[i : i+2] {
		if usage.Kind != "LoadBalancerPool" || usage.Name != "public" || usage.Capacity != 4 || usage.Allocated != 1 || usage.Free != 3 ||
			len(usage.Namespaces) != 1 || usage.Namespaces[0] != (occupancy.NamespaceUsage{Namespace: "default", Allocated: 1}) {
			t.Errorf("got %+v", usage)
		}
	}

	pools := server.Client.PortolanV1().LoadBalancerPools()
	if err := pools.Delete(t.Context(), "public", metav1.DeleteOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("deleting a pool in use: %v", err)
	}
	text, err = portolan(t, server, "drain", "loadbalancerpool", "public", "--dry-run")
	if err != nil || !strings.Contains(text, "loadbalancerpool/public: values held by Services: 2; reserved: 0") ||
		!strings.Contains(text, "tls") || !strings.Contains(text, "web") {
		t.Errorf("a dry run says %s, %v", text, err)
	}

	ended := make(chan error, 1)
	go func() {
		_, err := portolan(t, server, "drain", "loadbalancerpool/public")
		ended <- err
	}()
	framework.Eventually(t, "the pool is disabled", func(ctx context.Context) (bool, error) {
		pool, err := pools.Get(ctx, "public", metav1.GetOptions{})
		return err == nil && pool.Spec.Allocation != nil && *pool.Spec.Allocation == v1.AllocationDisabled, err
	})
	for _, name := range []string{"web", "tls"} {
		remove(t, server, name)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := pools.Delete(t.Context(), "public", metav1.DeleteOptions{}); err != nil {
		t.Errorf("deleting a drained pool: %v", err)
	}
}
