package layouts

import (
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

const (
	// serviceName is the Service of the gateway, as the APIService names it.
	serviceName = "portolan.portolan.svc"
	// serverUser is the gateway's user at kube-apiserver.
	serverUser = "system:serviceaccount:portolan:portolan"
	// frontProxy is the common name that kube-apiserver accepts of a front proxy.
	frontProxy = "front-proxy-client"
)

// Config configures a cluster.
type Config struct {
	// KubeFlags are added to those that kube-apiserver needs.
	KubeFlags []string
	// WithoutControllers leaves Endpoints and EndpointSlices to kube-controller-manager.
	WithoutControllers bool
	// Mirror has the gateway mirror the cluster's own Services.
	Mirror bool
	// Gateway may set options of the gateway. It may be nil.
	Gateway func(*options.Options)
}

// Cluster is a cluster and its gateway, each with its administrator.
type Cluster struct {
	// Kube is kube-apiserver.
	Kube *upstream.Server
	// Server is the gateway.
	Server *framework.Server
	// Kubeconfig is the file of the administrator at the gateway.
	Kubeconfig string
	// Direct and Client are the administrator at kube-apiserver and at the gateway.
	Direct, Client *kubernetes.Clientset
	// Portolan is the administrator in portolan.dev, by way of kube-apiserver.
	Portolan *versioned.Clientset

	users authority
	dir   string
}

// Start starts a cluster and its gateway, and registers portolan.dev, as
// artifacts/docs/gateway-kubeadm.md says. The gateway has the rights that artifacts/cluster
// gives it, a serving certificate of the cluster's authority, and kube-apiserver's etcd.
func Start(t testing.TB, config Config) *Cluster {
	t.Helper()
	c := &Cluster{dir: t.TempDir()}
	front := newAuthority(t, filepath.Join(c.dir, "front"))
	proxyCert, proxyKey := front.client(t, filepath.Join(c.dir, "front-proxy"), frontProxy)
	c.Kube = framework.StartKube(t, append([]string{
		"--proxy-client-cert-file=" + proxyCert, "--proxy-client-key-file=" + proxyKey,
		"--requestheader-client-ca-file=" + front.file, "--requestheader-allowed-names=" + frontProxy,
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
	}, config.KubeFlags...)...)
	c.users = readAuthority(t, filepath.Join(filepath.Dir(c.Kube.Kubeconfig), "pki"))
	k := framework.NewKubectl(t, c.Kube.Kubeconfig)
	files := []string{"server/namespace", "server/serviceaccount", "server/rbac", "server/roles"}
	if config.Mirror {
		files = append(files, "mirror/rbac")
	}
	for _, file := range files {
		k.Run("apply", "-f", framework.Path("artifacts/cluster", file+".yaml"))
	}
	servingCert, servingKey := c.users.serving(t, filepath.Join(c.dir, "serving"),
		"kubernetes.default.svc", serviceName, "localhost", "127.0.0.1")
	c.Server = framework.Start(t, func(o *options.Options) {
		serve := true
		o.CoreAPI.CoreAPIKubeconfigPath = c.KubeconfigOf(t, c.Kube.Config.Host, serverUser)
		o.Etcd.StorageConfig.Transport.ServerList, o.Etcd.StorageConfig.Prefix = []string{c.Kube.EtcdURL}, "/portolan"
		o.ServeCore = &serve
		o.WithControllers, o.Controllers.MirrorClusterServices = !config.WithoutControllers, config.Mirror
		o.Gateway.ProxyClientCertFile, o.Gateway.ProxyClientKeyFile = proxyCert, proxyKey
		o.SecureServing.ServerCert.CertKey.CertFile, o.SecureServing.ServerCert.CertKey.KeyFile = servingCert, servingKey
		if config.Gateway != nil {
			config.Gateway(o)
		}
	})
	c.Kubeconfig = c.KubeconfigOf(t, c.Server.Config.Host, "admin", "system:masters")
	c.register(t, k)
	atGateway, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	atGateway.QPS = -1
	c.Client, c.Direct = clientOf(t, atGateway), clientOf(t, c.Kube.Config)
	if c.Portolan, err = versioned.NewForConfig(c.Kube.Config); err != nil {
		t.Fatal(err)
	}
	return c
}

// KubeconfigOf writes the kubeconfig of a user with a client certificate.
func (c *Cluster) KubeconfigOf(t testing.TB, server, name string, groups ...string) string {
	t.Helper()
	dir := t.TempDir()
	cert, key := c.users.client(t, filepath.Join(dir, "user"), name, groups...)
	return c.kubeconfig(t, filepath.Join(dir, "kubeconfig"), server, cert, key)
}

// StartControllers runs kube-controller-manager with some of its controllers, against the
// gateway or kube-apiserver, until the test ends. As on most clusters, each controller has
// a service account.
func (c *Cluster) StartControllers(t testing.TB, server string, controllers ...string) *upstream.Process {
	t.Helper()
	return framework.Launch(t, t.TempDir(), "kube-controller-manager",
		"--kubeconfig="+c.KubeconfigOf(t, server, "system:kube-controller-manager"),
		"--use-service-account-credentials=true", "--secure-port=0", "--leader-elect=false", "--kube-api-qps=1000", "--kube-api-burst=1000",
		"--controllers="+strings.Join(controllers, ","))
}

// register registers portolan.dev. Its Service leads kube-apiserver to its own host.
func (c *Cluster) register(t testing.TB, k *framework.Kubectl) {
	t.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(c.Server.Config.Host, "https://"), ":")
	k.Run("apply", "-f", framework.Path("artifacts/examples/kubeadm/apiservice.yaml"))
	k.Run("patch", "apiservice", "v1.portolan.dev", "--type=merge",
		`-p={"spec":{"caBundle":"`+c.users.base64()+`","service":{"port":`+port+`}}}`)
	k.Run("wait", "apiservice/v1.portolan.dev", "--for=condition=Available", "--timeout=60s")
}

func clientOf(t testing.TB, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
