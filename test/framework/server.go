package framework

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/server"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

const (
	startTimeout = time.Minute

	// What a server makes in its data directory.
	adminKubeconfig = "admin.kubeconfig"
	ownAuthority    = "pki/ca.crt"
)

// Server is a server that serves until the test ends, or Stop.
type Server struct {
	// Config is the administrator's, with no limit on its rate: of a server with
	// a cluster, that of the user of its kubeconfig.
	Config *rest.Config
	Client versioned.Interface
	// Kubeconfig is the administrator's file, which a server with a cluster
	// doesn't have.
	Kubeconfig string
	DataDir    string
	Options    *options.Options

	// url is where it is, and authority the file of the CA of its certificate.
	url, authority string
	// cluster is the kubeconfig of its cluster, empty without one.
	cluster string
	output  *tail
	stop    func() error
}

// Output is what the server has printed so far.
func (s *Server) Output() string { return s.output.String() }

// Start runs a server in this process and returns when it is ready. Change may
// set options; it may be nil.
//
// Without a cluster it writes only its namespaces and ranges by itself: no controllers
// run, and there is no Service kubernetes, so that a test can count writes. See StartAll.
func Start(t testing.TB, change func(*options.Options)) *Server {
	t.Helper()
	return start(t, change, false)
}

// StartAll does what Start does, and the server does all that it does by default.
func StartAll(t testing.TB, change func(*options.Options)) *Server {
	t.Helper()
	return start(t, change, true)
}

func start(t testing.TB, change func(*options.Options), controllers bool) *Server {
	t.Helper()
	o := options.New()
	o.DataDir = t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.SecureServing.Listener = listener
	o.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	if change != nil {
		change(o)
	}
	if !o.InCluster() {
		o.WithControllers, o.KubernetesService = controllers, &controllers
	}

	s := &Server{
		DataDir: o.DataDir, Options: o, Kubeconfig: filepath.Join(o.DataDir, adminKubeconfig),
		url:       "https://" + o.SecureServing.Listener.Addr().String(),
		authority: cmp.Or(o.SecureServing.ServerCert.CertKey.CertFile, filepath.Join(o.DataDir, ownAuthority)),
		cluster:   o.CoreAPI.CoreAPIKubeconfigPath,
		output:    &tail{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, o, s.output)
		// It may be waited for again after it has ended by itself.
		close(ended)
	}()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	s.waitReady(t, ended)
	return s
}

// As returns a config with the credentials of a user, such as one of the cluster,
// for requests to the server itself, with no limit on the rate.
func (s *Server) As(user *rest.Config) *rest.Config { return direct(user, s.url, s.authority) }

func direct(user *rest.Config, url, authority string) *rest.Config {
	config := rest.CopyConfig(user)
	config.Host, config.APIPath = url, ""
	config.Insecure, config.ServerName, config.CAData, config.CAFile = false, "", nil, authority
	config.QPS = -1
	return config
}

// Again returns options for a server that replaces a stopped one: it has the data, the
// address and the options for Services of that one.
func (s *Server) Again(t testing.TB) func(*options.Options) {
	return func(o *options.Options) {
		t.Helper()
		if err := o.SecureServing.Listener.Close(); err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", strings.TrimPrefix(s.url, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		o.SecureServing.Listener, o.SecureServing.BindPort = listener, s.Options.SecureServing.BindPort
		o.DataDir, o.ClusterIPRanges, o.NodePortRanges = s.DataDir, s.Options.ClusterIPRanges, s.Options.NodePortRanges
	}
}

// Stop ends the server and returns what Run returned.
func (s *Server) Stop() error { return s.stop() }

func (s *Server) waitReady(t testing.TB, ended <-chan error) {
	t.Helper()
	err := wait.PollUntilContextTimeout(context.Background(), 10*time.Millisecond, startTimeout, true,
		func(ctx context.Context) (bool, error) {
			select {
			case err := <-ended:
				return false, fmt.Errorf("the server ended: %w", err)
			default:
			}
			config, err := clientcmd.BuildConfigFromFlags("", cmp.Or(s.cluster, s.Kubeconfig))
			if err != nil {
				return false, nil
			}
			if _, err := os.Stat(s.authority); err != nil {
				return false, nil
			}
			config = s.As(config)
			if err := rest.LoadTLSFiles(config); err != nil {
				return false, err
			}
			client, err := versioned.NewForConfig(config)
			if err != nil {
				return false, err
			}
			s.Config, s.Client = config, client
			// This needs no authentication, for which the cluster may be unavailable.
			anybody, err := versioned.NewForConfig(rest.AnonymousClientConfig(config))
			if err != nil {
				return false, err
			}
			return anybody.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil, nil
		})
	if err != nil {
		t.Fatalf("the server did not turn ready: %v", err)
	}
}

// Replicas starts servers that share an etcd. Change may set the options of
// each; it may be nil.
func Replicas(t testing.TB, n int, change func(*options.Options)) (*Etcd, []*Server) {
	t.Helper()
	store := StartEtcd(t)
	servers := make([]*Server, n)
	for i := range servers {
		servers[i] = Start(t, func(o *options.Options) {
			On(store)(o)
			if change != nil {
				change(o)
			}
		})
	}
	return store, servers
}
