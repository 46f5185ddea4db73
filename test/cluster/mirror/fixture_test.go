//go:build e2e

package mirror

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

func TestMain(m *testing.M) { framework.Main(m) }

const namespace = "default"

// fixture is a cluster, and a store for gateways that mirror its Services.
type fixture struct {
	t    *testing.T
	kube *upstream.Server
	// cluster is the administrator's client of kube-apiserver.
	cluster *kubernetes.Clientset
	// kubeconfig is that of the gateways, with the rights of artifacts/cluster.
	kubeconfig string
	store      *framework.Etcd
}

func newFixture(t *testing.T, controllers ...string) *fixture {
	t.Helper()
	f := &fixture{t: t, kube: framework.StartKube(t), store: framework.StartEtcd(t)}
	if len(controllers) > 0 {
		framework.StartControllers(t, f.kube, controllers...)
	}
	var err error
	f.cluster, err = kubernetes.NewForConfig(f.kube.Config)
	f.must(err)
	for _, file := range []string{"server/namespace", "server/serviceaccount", "server/rbac", "server/roles", "mirror/rbac"} {
		f.kubectl("apply", "-f", framework.Path("artifacts/cluster", file+".yaml"))
	}
	f.kubectl("create", "clusterrolebinding", "root", "--clusterrole=cluster-admin", "--serviceaccount=default:root")
	f.kubeconfig = f.kubeconfigOf(f.kube.Config.Host, f.kube.Config.CAData, f.token("portolan", "portolan"))
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// kubectl runs kubectl at kube-apiserver as the administrator.
func (f *fixture) kubectl(args ...string) {
	f.t.Helper()
	framework.NewKubectl(f.t, f.kube.Kubeconfig).Run(args...)
}

func (f *fixture) token(namespace, name string) string {
	f.t.Helper()
	request, err := f.cluster.CoreV1().ServiceAccounts(namespace).CreateToken(f.t.Context(), name, &authenticationv1.TokenRequest{},
		metav1.CreateOptions{})
	f.must(err)
	return request.Status.Token
}

func (f *fixture) kubeconfigOf(server string, authority []byte, token string) string {
	f.t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: authority}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	file := filepath.Join(f.t.TempDir(), "kubeconfig")
	f.must(clientcmd.WriteToFile(*config, file))
	return file
}

// gateway is a gateway to the cluster that mirrors its Services.
type gateway struct {
	*framework.Server
	// client is the administrator's, at the gateway.
	client *kubernetes.Clientset
}

// serve starts a gateway. Its own ranges differ from the cluster's, unless they are changed.
func (f *fixture) serve(change func(*options.Options)) gateway {
	f.t.Helper()
	server := framework.Start(f.t, func(o *options.Options) {
		serve := true
		framework.On(f.store)(o)
		o.CoreAPI.CoreAPIKubeconfigPath, o.ServeCore = f.kubeconfig, &serve
		o.ClusterIPRanges, o.NodePortRanges = []string{"10.200.0.0/16"}, []string{"20000-20999"}
		o.Controllers.MirrorClusterServices = true
		if change != nil {
			change(o)
		}
	})
	client, err := kubernetes.NewForConfig(server.As(&rest.Config{BearerToken: f.root()}))
	f.must(err)
	// The server's own user may not read Portolan's objects.
	server.Client, err = versioned.NewForConfig(server.As(&rest.Config{BearerToken: f.root()}))
	f.must(err)
	return gateway{server, client}
}

// root returns a token of an administrator of the cluster.
func (f *fixture) root() string {
	f.t.Helper()
	accounts := f.cluster.CoreV1().ServiceAccounts(namespace)
	if _, err := accounts.Get(f.t.Context(), "root", metav1.GetOptions{}); err != nil {
		_, err := accounts.Create(f.t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "root"}}, metav1.CreateOptions{})
		f.must(err)
	}
	return f.token(namespace, "root")
}

// create creates a Service of the cluster.
func (f *fixture) create(name string, change func(*corev1.Service)) *corev1.Service {
	f.t.Helper()
	created, err := f.cluster.CoreV1().Services(namespace).Create(f.t.Context(), newService(name, change), metav1.CreateOptions{})
	f.must(err)
	return created
}

func newService(name string, change func(*corev1.Service)) *corev1.Service {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	if change != nil {
		change(service)
	}
	return service
}

// eventually polls a condition about the gateway's copy of a Service.
func (g gateway) eventually(t *testing.T, name, what string, holds func(*corev1.Service) bool) {
	t.Helper()
	framework.Eventually(t, name+": "+what, func(ctx context.Context) (bool, error) {
		service, err := g.client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return holds(service), fmt.Errorf("there is %v", service)
	})
}

// isCopyOf reports whether two objects are equal but for what a copy has of its own.
func isCopyOf[T any, P interface {
	*T
	metav1.Object
	DeepCopy() *T
}](ours, source *T) bool {
	a, b := P(P(ours).DeepCopy()), P(P(source).DeepCopy())
	annotations := a.GetAnnotations()
	if annotations[v1.AnnotationMirroredFrom] == "" {
		return false
	}
	delete(annotations, v1.AnnotationMirroredFrom)
	if len(annotations) == 0 {
		a.SetAnnotations(nil)
	}
	a.SetResourceVersion(b.GetResourceVersion())
	return equality.Semantic.DeepEqual(a, b)
}
