// Package upstream runs the programs that Portolan is measured and compared
// with, as children that end with their caller.
package upstream

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
)

// Programs are the paths of what is run.
type Programs struct {
	KubeAPIServer, Etcd, Portolan string
}

// Server is an API server with the etcd it needs, on a directory of its own.
type Server struct {
	api *Process
	// etcd is nil where it is embedded.
	etcd *Process
	// Dir holds all data of the server.
	Dir string
	// Config is the administrator's, from the file Kubeconfig.
	Config     *rest.Config
	Kubeconfig string
	// EtcdURL is where its store is, empty where that is embedded.
	EtcdURL string
	// Startup is how long it took from the start of the first process to ready.
	Startup time.Duration

	// launch starts the API server, for the second time too.
	launch func() (*Process, error)
}

// StopAPI ends the API server and leaves its etcd.
func (s *Server) StopAPI() { s.api.Stop() }

// StartAPI starts the API server again, where it was, and waits until it is
// ready.
func (s *Server) StartAPI(ctx context.Context) (err error) {
	if s.api, err = s.launch(); err != nil {
		return err
	}
	return s.awaitReady(ctx, s.Kubeconfig, time.Now())
}

// Stop ends the server and removes its data.
func (s *Server) Stop() {
	for _, p := range []*Process{s.api, s.etcd} {
		if p != nil {
			p.Stop()
		}
	}
	// What is left lies in the run's directory, which goes at the end.
	_ = os.RemoveAll(s.Dir)
}

// NewDir makes a data directory.
func NewDir(parent, name string) (string, error) { return os.MkdirTemp(parent, name+"-") }

// StartEtcd runs etcd with its defaults, fsync among them.
func StartEtcd(ctx context.Context, p Programs, dir string) (*Process, string, error) {
	client, err := FreePort()
	if err != nil {
		return nil, "", err
	}
	peer, err := FreePort()
	if err != nil {
		return nil, "", err
	}
	url, peerURL := "http://127.0.0.1:"+client, "http://127.0.0.1:"+peer
	etcd, err := Launch("etcd", dir, p.Etcd,
		"--data-dir="+filepath.Join(dir, "etcd"),
		"--listen-client-urls="+url, "--advertise-client-urls="+url,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL,
		"--initial-cluster=default="+peerURL,
		"--log-level=error")
	if err != nil {
		return nil, "", err
	}
	err = etcd.Await(ctx, func(ctx context.Context) bool { return isOK(ctx, http.DefaultClient, url+"/health") })
	if err != nil {
		etcd.Stop()
		return nil, "", err
	}
	return etcd, url, nil
}

// StartKube runs kube-apiserver on an etcd of its own. Both servers know their
// administrator by a client certificate of the same making, so that neither
// has the cheaper way to find out who is asking. Flags are added to those that
// it needs, and win over them.
func StartKube(ctx context.Context, p Programs, parent string, flags ...string) (*Server, error) {
	return start(ctx, parent, "kube-apiserver", func(s *Server, port string) (kubeconfig string, err error) {
		if s.etcd, s.EtcdURL, err = StartEtcd(ctx, p, s.Dir); err != nil {
			return "", err
		}
		kubeconfig, needed, err := KubeFlags(s.Dir, port, s.EtcdURL)
		if err != nil {
			return "", err
		}
		args := slices.Concat(needed, flags)
		s.launch = func() (*Process, error) { return Launch("kube-apiserver", s.Dir, p.KubeAPIServer, args...) }
		return kubeconfig, nil
	})
}

// KubeFlags returns the flags that kube-apiserver needs, and the kubeconfig of its
// administrator. It writes that file and the certificates into a directory.
func KubeFlags(dir, port, etcdServers string) (kubeconfig string, flags []string, err error) {
	files, err := datadir.Ensure(dir, datadir.Server{URL: "https://127.0.0.1:" + port, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}, time.Now())
	if err != nil {
		return "", nil, err
	}
	return files.Kubeconfig, []string{
		"--etcd-servers=" + etcdServers,
		"--bind-address=127.0.0.1", "--secure-port=" + port, "--advertise-address=127.0.0.1",
		"--cert-dir=" + filepath.Join(dir, "certs"),
		"--tls-cert-file=" + files.ServingCert, "--tls-private-key-file=" + files.ServingKey,
		"--client-ca-file=" + files.CACert,
		"--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.96.0.0/12",
		// No service account exists, but kube-apiserver does not start without a
		// key for their tokens. Any key will do.
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + files.ServingKey, "--service-account-signing-key-file=" + files.ServingKey,
		"--disable-admission-plugins=ServiceAccount",
		// A loopback address cannot be published as the cluster's API server.
		"--endpoint-reconciler-type=none",
	}, nil
}

// StartPortolan runs portolan with nothing but a port and a directory.
func StartPortolan(ctx context.Context, p Programs, parent string) (*Server, error) {
	return start(ctx, parent, "portolan", func(s *Server, port string) (kubeconfig string, err error) {
		s.launch = func() (*Process, error) {
			// A kube-apiserver by itself has no controllers beside it either.
			return Launch("portolan", s.Dir, p.Portolan, "serve", "--data-dir="+s.Dir, "--secure-port="+port, "--controllers=false")
		}
		return filepath.Join(s.Dir, "admin.kubeconfig"), nil
	})
}

// preparation starts what a server needs, and sets launch. It returns the administrator's
// kubeconfig.
type preparation func(s *Server, port string) (kubeconfig string, err error)

// start starts a server on a free port and a directory of its own, and waits until it is
// ready. If another process takes the port meanwhile, the server is started anew on another.
func start(ctx context.Context, parent, name string, prepare preparation) (*Server, error) {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		s, err := startOnce(ctx, parent, name, prepare)
		if !portTaken(err) || attempt == attempts {
			return s, err
		}
	}
}

func startOnce(ctx context.Context, parent, name string, prepare preparation) (_ *Server, err error) {
	s := &Server{}
	if s.Dir, err = NewDir(parent, name); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	kubeconfig, err := prepare(s, port)
	if err != nil {
		return nil, err
	}
	if s.api, err = s.launch(); err != nil {
		return nil, err
	}
	return s, s.awaitReady(ctx, kubeconfig, started)
}

// awaitReady waits for /readyz and notes how long that took. The kubeconfig
// may have yet to be written by the server.
func (s *Server) awaitReady(ctx context.Context, kubeconfig string, started time.Time) error {
	var client *http.Client
	return s.api.Await(ctx, func(ctx context.Context) bool {
		if client == nil {
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return false
			}
			if client, err = rest.HTTPClientFor(config); err != nil {
				return false
			}
			s.Config, s.Kubeconfig = config, kubeconfig
		}
		if !isOK(ctx, client, s.Config.Host+"/readyz") {
			return false
		}
		s.Startup = time.Since(started)
		return true
	})
}

func isOK(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Await polls until ready says so, or the API server has ended.
func (s *Server) Await(ctx context.Context, ready func(context.Context) bool) error {
	return s.api.Await(ctx, ready)
}
