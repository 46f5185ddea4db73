//go:build e2e

package access

import (
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

func TestMain(m *testing.M) { framework.QuietMain(m) }

// server is an API server, as its administrator uses it.
type server struct {
	name       string
	config     *rest.Config
	kubeconfig string
	client     *http.Client
}

// start runs a Portolan and a kube-apiserver. The first of the servers is the
// kube-apiserver.
func start(t *testing.T) [2]*server {
	t.Helper()
	kube := framework.StartKube(t)
	portolan := framework.StartAll(t, nil)
	return [2]*server{
		newServer(t, "kube-apiserver", kube.Config, kube.Kubeconfig),
		newServer(t, "Portolan", portolan.Config, portolan.Kubeconfig),
	}
}

// startWithAggregation does what start does, with the controller that fills aggregated roles
// beside kube-apiserver.
func startWithAggregation(t *testing.T) [2]*server {
	t.Helper()
	servers := start(t)
	kube := &upstream.Server{Kubeconfig: servers[0].kubeconfig}
	framework.StartControllers(t, kube, "clusterrole-aggregation-controller")
	return servers
}

func newServer(t *testing.T, name string, config *rest.Config, kubeconfig string) *server {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	client.CheckRedirect = framework.FollowNone
	return &server{name: name, config: config, kubeconfig: kubeconfig, client: client}
}

// answer is the answer to a request.
type answer struct {
	code   int
	header http.Header
	body   string
}

// send sends a request.
func (s *server) send(t *testing.T, method, path, body string, header http.Header) answer {
	t.Helper()
	response, text := framework.Send(t, s.client, method, s.config.Host+path, strings.NewReader(body), header)
	defer response.Body.Close()
	return answer{response.StatusCode, response.Header, text}
}
