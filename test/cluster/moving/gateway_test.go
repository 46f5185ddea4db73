//go:build e2e

package moving

import (
	"path/filepath"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// gateway is a Portolan in front of a cluster, with the rights of the manifests.
type gateway struct {
	*cluster
	kubectl *framework.Kubectl
	server  *framework.Server
	// portolan is the administrator's client at the gateway.
	portolan *kubernetes.Clientset
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{cluster: newCluster(t)}
	g.kubectl = framework.NewKubectl(t, g.kube.Kubeconfig)
	for _, file := range []string{
		"server/namespace.yaml", "server/serviceaccount.yaml", "server/rbac.yaml", "server/roles.yaml", "write-back/rbac.yaml",
	} {
		g.kubectl.Run("apply", "-f", framework.Path("artifacts/cluster", file))
	}
	token, err := g.client.CoreV1().ServiceAccounts("portolan").CreateToken(t.Context(), "portolan",
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	g.must(err)
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: g.kube.Config.Host, CertificateAuthorityData: g.kube.Config.CAData,
		CertificateAuthority: g.kube.Config.CAFile}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	kubeconfig := filepath.Join(t.TempDir(), "server.kubeconfig")
	g.must(clientcmd.WriteToFile(*config, kubeconfig))
	g.server = framework.Start(t, func(o *options.Options) {
		o.CoreAPI.CoreAPIKubeconfigPath, o.ServeCore = kubeconfig, ptr.To(true)
		o.ClusterIPRanges = []string{"198.18.0.0/16"}
		o.Controllers.WriteBackServices = true
	})
	g.portolan, err = kubernetes.NewForConfig(g.server.As(g.kube.Config))
	g.must(err)
	return g
}

// serve creates a Service at the gateway, with an endpoint.
func (g *gateway) serve(name, address string) *corev1.Service {
	g.t.Helper()
	created, err := g.portolan.CoreV1().Services("default").Create(g.t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: address, Ports: []corev1.ServicePort{{Name: "https", Port: 443}}},
	}, metav1.CreateOptions{})
	g.must(err)
	_, err = g.portolan.DiscoveryV1().EndpointSlices("default").Create(g.t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"198.18.0.10"}}},
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("https"), Port: ptr.To[int32](443)}},
	}, metav1.CreateOptions{})
	g.must(err)
	return created
}

// copied returns a Service of the cluster, or nil.
func (g *gateway) copied(name string) *corev1.Service {
	found, err := g.client.CoreV1().Services("default").Get(g.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return found
}
