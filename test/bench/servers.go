package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/portolan-dev/portolan/pkg/pki"
)

// server is an API server with the etcd it needs, on a directory of its own.
type server struct {
	api *process
	// etcd is nil where it is embedded.
	etcd *process
	dir  string
	// config is the administrator's.
	config *rest.Config
	// startup is how long it took from the start of the first process to ready.
	startup time.Duration
}

func (s *server) stop() {
	for _, p := range []*process{s.api, s.etcd} {
		if p != nil {
			p.stop()
		}
	}
	// What is left lies in the run's directory, which goes at the end.
	_ = os.RemoveAll(s.dir)
}

// newDir makes a data directory.
func newDir(parent, name string) (string, error) { return os.MkdirTemp(parent, name+"-") }

// startEtcd runs etcd with its defaults, fsync among them.
func startEtcd(ctx context.Context, p *programs, dir string) (*process, string, error) {
	client, err := freePort()
	if err != nil {
		return nil, "", err
	}
	peer, err := freePort()
	if err != nil {
		return nil, "", err
	}
	url, peerURL := "http://127.0.0.1:"+client, "http://127.0.0.1:"+peer
	etcd, err := launch("etcd", dir, p.etcd,
		"--data-dir="+filepath.Join(dir, "etcd"),
		"--listen-client-urls="+url, "--advertise-client-urls="+url,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL,
		"--initial-cluster=default="+peerURL,
		"--log-level=error")
	if err != nil {
		return nil, "", err
	}
	err = etcd.await(ctx, func(ctx context.Context) bool { return isOK(ctx, http.DefaultClient, url+"/health") })
	if err != nil {
		etcd.stop()
		return nil, "", err
	}
	return etcd, url, nil
}

// startKube runs kube-apiserver on an etcd of its own. Both servers know their
// administrator by a client certificate of the same making, so that neither
// has the cheaper way to find out who is asking.
func startKube(ctx context.Context, p *programs, parent string) (_ *server, err error) {
	s := &server{}
	if s.dir, err = newDir(parent, "kube-apiserver"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	files, err := pki.Ensure(s.dir, pki.Server{URL: "https://127.0.0.1:" + port, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}, time.Now())
	if err != nil {
		return nil, err
	}

	started := time.Now()
	etcd, etcdURL, err := startEtcd(ctx, p, s.dir)
	if err != nil {
		return nil, err
	}
	s.etcd = etcd
	s.api, err = launch("kube-apiserver", s.dir, p.kubeAPIServer,
		"--etcd-servers="+etcdURL,
		"--bind-address=127.0.0.1", "--secure-port="+port, "--advertise-address=127.0.0.1",
		"--cert-dir="+filepath.Join(s.dir, "certs"),
		"--tls-cert-file="+files.ServingCert, "--tls-private-key-file="+files.ServingKey,
		"--client-ca-file="+files.CACert,
		"--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.96.0.0/12",
		// Nobody has a service account here, but there is no starting without
		// a key for their tokens; any will do.
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+files.ServingKey, "--service-account-signing-key-file="+files.ServingKey,
		"--disable-admission-plugins=ServiceAccount",
		// Loopback is no address to publish as the cluster's API server.
		"--endpoint-reconciler-type=none")
	if err != nil {
		return nil, err
	}
	return s, s.awaitReady(ctx, files.Kubeconfig, started)
}

// startPortolan runs portolan with nothing but a port and a directory.
func startPortolan(ctx context.Context, p *programs, parent string) (_ *server, err error) {
	s := &server{}
	if s.dir, err = newDir(parent, "portolan"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	s.api, err = launch("portolan", s.dir, p.portolan, "serve", "--data-dir="+s.dir, "--secure-port="+port)
	if err != nil {
		return nil, err
	}
	return s, s.awaitReady(ctx, filepath.Join(s.dir, "admin.kubeconfig"), started)
}

// awaitReady waits for /readyz and notes how long that took. The kubeconfig
// may have yet to be written by the server.
func (s *server) awaitReady(ctx context.Context, kubeconfig string, started time.Time) error {
	var client *http.Client
	return s.api.await(ctx, func(ctx context.Context) bool {
		if client == nil {
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return false
			}
			if client, err = rest.HTTPClientFor(config); err != nil {
				return false
			}
			s.config = config
		}
		if !isOK(ctx, client, s.config.Host+"/readyz") {
			return false
		}
		s.startup = time.Since(started)
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

// memories are the resident memory of the API server, and together with its
// etcd.
func (s *server) memories() (api, all int64, err error) {
	api = s.api.memory()
	if api == 0 {
		return 0, 0, fmt.Errorf("the memory of %s can't be read", s.api.name)
	}
	all = api
	if s.etcd != nil {
		all += s.etcd.memory()
	}
	return api, all, nil
}
