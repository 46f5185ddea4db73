//go:build e2e

package aggregated

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

const (
	clusterAddress = "192.0.2.1"
	clusterURL     = "https://192.0.2.1:6443"
	// etcdAddress is where Portolan's etcd is; kube-apiserver's is on loopback.
	etcdAddress = "192.0.2.2"

	// portolanUser is the user of the servers in the cluster.
	portolanUser = "system:serviceaccount:portolan:portolan"
)

// fixture is a cluster without nodes, and Portolan in it.
type fixture struct {
	dir string
	// users signs the certificates of the cluster's users and servers.
	users *authority
	// kubeconfig is the administrator's, and admin what is in it.
	kubeconfig string
	admin      *rest.Config
	client     kubernetes.Interface
	dynamic    dynamic.Interface
	// portolan is the generated client on the cluster's address.
	portolan versioned.Interface

	kube, manager *upstream.Process
	// kubeFlags are those of kube-apiserver.
	kubeFlags []string
	// store is the certificate of a client of Portolan's etcd, and storeCA that
	// of its authority.
	store   pair
	storeCA string
	// front is the certificate of the aggregation layer.
	front   pair
	kubelet *kubelet
}

// start runs everything, installs Portolan, and returns when the cluster says
// that it is there.
func start(t *testing.T) *fixture {
	t.Helper()
	var err error
	g := &fixture{dir: framework.Directory(t)}
	g.users = newAuthority(t, g.dir, "users")
	g.kubeconfig = g.users.kubeconfig(t, "admin", "system:masters")
	g.admin = g.configOf(t, g.kubeconfig)
	if g.client, err = kubernetes.NewForConfig(g.admin); err != nil {
		t.Fatal(err)
	}
	if g.dynamic, err = dynamic.NewForConfig(g.admin); err != nil {
		t.Fatal(err)
	}
	if g.portolan, err = versioned.NewForConfig(g.admin); err != nil {
		t.Fatal(err)
	}
	g.startCluster(t)
	g.startStore(t)
	g.install(t)
	g.awaitDiscovered(t)
	return g
}

// configOf is what a kubeconfig says, with no limit on the rate.
func (g *fixture) configOf(t *testing.T, kubeconfig string) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	return config
}

// startCluster runs kube-apiserver on an etcd of its own, and the controllers.
func (g *fixture) startCluster(t *testing.T) {
	t.Helper()
	programs := upstream.Programs{Etcd: framework.Program(t, "etcd")}
	etcd, etcdURL, err := upstream.StartEtcd(t.Context(), programs, g.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Stop)
	serving := g.users.issue(t, "kube-apiserver", nil, clusterAddress, "10.96.0.1")
	aggregator := newAuthority(t, g.dir, "aggregator")
	g.front = aggregator.issue(t, "front-proxy-client", nil)
	g.kubeFlags = []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=" + clusterAddress, "--secure-port=6443", "--advertise-address=" + clusterAddress,
		"--tls-cert-file=" + serving.cert, "--tls-private-key-file=" + serving.key,
		"--client-ca-file=" + g.users.file("ca").cert,
		"--authorization-mode=Node,RBAC",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + serving.key, "--service-account-signing-key-file=" + serving.key,
		"--requestheader-client-ca-file=" + aggregator.file("ca").cert, "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + g.front.cert, "--proxy-client-key-file=" + g.front.key,
		"--enable-aggregator-routing=true",
		"--audit-policy-file=" + g.write(t, "audit-policy.yaml", auditPolicy(portolanUser, audited, auditor)), "--audit-log-path=" + g.auditLog(),
	}
	t.Cleanup(func() {
		if g.kube != nil {
			g.kube.Stop()
		}
	})
	g.startKube(t)
	g.manager = framework.Launch(t, g.dir, "kube-controller-manager",
		"--kubeconfig="+g.users.kubeconfig(t, "system:kube-controller-manager"),
		// As in most clusters each controller has the rights of its own role.
		"--use-service-account-credentials=true",
		"--controllers=namespace-controller,garbage-collector-controller,resourcequota-controller,"+
			"clusterrole-aggregation-controller,serviceaccount-controller,root-ca-certificate-publisher-controller,"+
			"deployment-controller,replicaset-controller,endpointslice-controller",
		"--root-ca-file="+g.users.file("ca").cert,
		// What was not seen yet when a quota was made is counted this much later.
		"--resource-quota-sync-period=5s",
		"--leader-elect=false", "--secure-port=0")
}

// startKube runs kube-apiserver and returns when it is ready.
func (g *fixture) startKube(t *testing.T) {
	t.Helper()
	var err error
	g.kube, err = upstream.Launch("kube-apiserver", g.dir, framework.Program(t, "kube-apiserver"), g.kubeFlags...)
	if err != nil {
		t.Fatal(err)
	}
	g.awaitKube(t)
}

// restartKube kills kube-apiserver and runs it again.
func (g *fixture) restartKube(t *testing.T) {
	t.Helper()
	g.kube.Stop()
	g.startKube(t)
}

func (g *fixture) awaitKube(t *testing.T) {
	t.Helper()
	ready := func(ctx context.Context) bool {
		return g.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
	}
	if err := g.kube.Await(t.Context(), ready); err != nil {
		t.Fatal(err)
	}
}

// startStore runs Portolan's etcd, which knows its clients by certificate.
func (g *fixture) startStore(t *testing.T) {
	t.Helper()
	certs := newAuthority(t, g.dir, "etcd-ca")
	server := certs.issue(t, "etcd", nil, etcdAddress)
	g.store, g.storeCA = certs.issue(t, "portolan-etcd-client", nil), certs.file("ca").cert
	url, peerURL, metrics := "https://"+etcdAddress+":2379", "http://"+etcdAddress+":2380", "http://"+etcdAddress+":2381"
	etcd := framework.LaunchCommand(t, g.dir, "portolan-etcd", exec.Command(framework.Program(t, "etcd"),
		"--data-dir="+filepath.Join(g.dir, "portolan-etcd"),
		"--listen-client-urls="+url, "--advertise-client-urls="+url,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL, "--initial-cluster=default="+peerURL,
		"--listen-metrics-urls="+metrics,
		"--client-cert-auth", "--trusted-ca-file="+g.storeCA, "--cert-file="+server.cert, "--key-file="+server.key,
		"--log-level=error"))
	err := etcd.Await(t.Context(), func(ctx context.Context) bool { return get(ctx, http.DefaultClient, metrics+"/health") == nil })
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a file in the fixture's directory.
func (g *fixture) write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(g.dir, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// tokenKubeconfig is a file with which a token comes to the cluster's address.
func (g *fixture) tokenKubeconfig(t *testing.T, name, token string) string {
	t.Helper()
	return writeKubeconfig(t, filepath.Join(g.dir, name+".kubeconfig"), g.users.file("ca").cert, &clientcmdapi.AuthInfo{Token: token})
}

// gone is what eventually waits for, of a request that is to answer 404.
func gone(err error) (bool, error) {
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}
