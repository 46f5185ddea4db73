package api

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	clientv1 "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

func withRanges(ports string, cidrs ...string) func(*options.Options) {
	return func(o *options.Options) { o.ClusterIPRanges, o.NodePortRanges = cidrs, []string{ports} }
}

func servicesOf(server *framework.Server) clientv1.ServiceInterface {
	return server.Client.PortolanV1().Services("default")
}

// serviceWith is a Service with one port, changed by what is given.
func serviceWith(name string, change ...func(*corev1.ServiceSpec)) *v1.Service {
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "a", Port: 80}}}}
	for _, change := range change {
		change(&svc.Spec)
	}
	return svc
}

func onNodePort(port int32) func(*corev1.ServiceSpec) {
	return func(spec *corev1.ServiceSpec) { spec.Type, spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, port }
}

func onAddresses(addresses ...string) func(*corev1.ServiceSpec) {
	return func(spec *corev1.ServiceSpec) {
		spec.ClusterIP, spec.ClusterIPs = addresses[0], addresses
		if len(addresses) > 1 {
			spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
		}
	}
}

// expectInvalid wants a 422 whose cause is upstream's, but that the holder of a
// value may be named after it.
func expectInvalid(t *testing.T, what string, err error, cause string) {
	t.Helper()
	if !apierrors.IsInvalid(err) || !strings.HasSuffix(withoutHolder(err), cause) {
		t.Errorf("%s: got %v\nwant a 422 with %s", what, err, cause)
	}
}

func withoutHolder(err error) string {
	text, _, _ := strings.Cut(err.Error(), " by services.portolan.dev/default/")
	return text
}

func portTaken(port int32) string {
	return fmt.Sprintf("spec.ports[0].nodePort: Invalid value: %d: provided port is already allocated", port)
}

func addressTaken(spec *corev1.ServiceSpec, taken string) string {
	quoted := `["` + strings.Join(spec.ClusterIPs, `","`) + `"]`
	return fmt.Sprintf("spec.clusterIPs: Invalid value: %s: failed to allocate IP %s: provided IP is already allocated", quoted, taken)
}

// expectAllocated wants every replica to say how many addresses of the default
// ServiceCIDR and how many ports of the default NodePortRange are held. A
// replica learns of the others' claims by watching, so it may take a moment.
func expectAllocated(t *testing.T, servers []*framework.Server, addresses []int64, ports int32) {
	t.Helper()
	for i, server := range servers {
		what := fmt.Sprintf("replica %d says that %d addresses and %d ports are held", i, addresses, ports)
		framework.Eventually(t, what, func(ctx context.Context) (bool, error) {
			cidr, err := server.Client.PortolanV1().ServiceCIDRs().Get(ctx, v1.DefaultRangeName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			nodePorts, err := server.Client.PortolanV1().NodePortRanges().Get(ctx, v1.DefaultRangeName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			right := len(cidr.Status.CIDRs) == len(addresses) && nodePorts.Status.Allocated == ports &&
				nodePorts.Status.Free == nodePorts.Status.Capacity-ports
			for i := range addresses {
				usage := cidr.Status.CIDRs[i]
				right = right && usage.Allocated == addresses[i] && usage.Free == usage.Capacity-addresses[i]
			}
			return right, fmt.Errorf("it says %+v and %+v", cidr.Status.CIDRs, nodePorts.Status)
		})
	}
}

func deleteAllServices(t *testing.T, server *framework.Server) {
	t.Helper()
	if err := servicesOf(server).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
}
