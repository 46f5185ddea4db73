//go:build e2e

package delegation

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/server"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	aService = `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"%s"},"spec":{"ports":[{"port":80}]}}`
	limited  = "limited"
)

// servicesIn is the path of a namespace's Services.
func servicesIn(namespace string) string {
	return "/apis/portolan.dev/v1/namespaces/" + namespace + "/services"
}

// limit makes a namespace with a quota.
func (g *ground) limit() {
	g.t.Helper()
	ctx := g.t.Context()
	_, err := g.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: limited}},
		metav1.CreateOptions{})
	g.must(err)
	const counted = "count/services.portolan.dev"
	hard := corev1.ResourceList{counted: resource.MustParse("5")}
	quota, err := g.client.CoreV1().ResourceQuotas(limited).Create(ctx, &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "quota"}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
	}, metav1.CreateOptions{})
	g.must(err)
	quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{counted: resource.MustParse("0")}}
	_, err = g.client.CoreV1().ResourceQuotas(limited).UpdateStatus(ctx, quota, metav1.UpdateOptions{})
	g.must(err)
}

// expect wants an answer to have a code; a 503 says when to come again, and why.
func expect(t *testing.T, what string, got answer, code int) {
	t.Helper()
	if got.code != code {
		t.Errorf("%s: %d %s, want %d", what, got.code, got.body, code)
		return
	}
	if code != http.StatusServiceUnavailable {
		return
	}
	var status metav1.Status
	if err := json.Unmarshal([]byte(got.body), &status); err != nil || status.Reason != metav1.StatusReasonServiceUnavailable ||
		!strings.HasPrefix(status.Message, "the cluster's API server could not be asked") || got.header.Get("Retry-After") != "1" {
		t.Errorf("%s: it says %s and Retry-After %q", what, got.body, got.header.Get("Retry-After"))
	}
}

// TestAway stops the cluster's API server under the server: what the cluster has
// said counts on, what it has to be asked is a 503, and all is well when it is
// back.
func TestAway(t *testing.T) {
	g := newGround(t)
	g.limit()
	g.bind("portolan-view", user("vera"))
	g.bind("portolan-edit", user("vera"))
	g.bind("portolan-view", account("default", "robot"))
	server := g.serve(func(o *options.Options) {
		// Longer than it is away.
		o.Authentication.CacheTTL, o.Authorization.AllowCacheTTL, o.Authorization.DenyCacheTTL = time.Hour, time.Hour, time.Hour
	})
	vera := newCaller(t, server, certificateOf(t, g.users, "vera"), "")
	root := newCaller(t, server, certificateOf(t, g.users, "root", "system:masters"), "")
	posing := newCaller(t, server, certificateOf(t, g.users, "vera"), "", "Impersonate-User", "ned")
	proxied := newCaller(t, server, certificateOf(t, g.front, frontName), "", "X-Remote-User", "vera")
	robot := newCaller(t, server, nil, g.token("default", "robot"))
	late := newCaller(t, server, nil, g.token("default", "late"))
	nobody := newCaller(t, server, nil, "")

	// What is asked now is known later. The server has to have seen the quota.
	expect(t, "list", vera.get(services), 200)
	expect(t, "list through the aggregator", proxied.get(services), 200)
	expect(t, "list, by token", robot.get(services), 200)
	expect(t, "create", vera.do(http.MethodPost, services, fmt.Sprintf(aService, "a")), 201)
	expect(t, "forbidden", robot.do(http.MethodPost, services, fmt.Sprintf(aService, "b")), 403)
	expect(t, "create with quota", root.do(http.MethodPost, servicesIn(limited), fmt.Sprintf(aService, "a")), 201)

	g.kube.StopAPI()
	for _, path := range []string{"/readyz", "/livez", "/healthz"} {
		expect(t, path, nobody.get(path), 200)
	}
	expect(t, "list", vera.get(services), 200)
	expect(t, "list through the aggregator", proxied.get(services), 200)
	expect(t, "list, by token", robot.get(services), 200)
	expect(t, "create", vera.do(http.MethodPost, services, fmt.Sprintf(aService, "b")), 201)
	expect(t, "still forbidden", robot.do(http.MethodPost, services, fmt.Sprintf(aService, "c")), 403)
	expect(t, "get, not asked before", vera.get(services+"/a"), 503)
	expect(t, "the same through the aggregator", proxied.get(services+"/a"), 503)
	expect(t, "a token not seen before", late.get(services), 503)
	expect(t, "an impersonated user", posing.get(services), 503)
	expect(t, "a master, anything", root.get(services+"/a"), 200)
	expect(t, "a namespace not seen before", root.do(http.MethodPost, servicesIn("elsewhere"), fmt.Sprintf(aService, "a")), 503)
	expect(t, "a namespace with a quota", root.do(http.MethodPost, servicesIn(limited), fmt.Sprintf(aService, "b")), 503)
	expect(t, "nobody", nobody.get(services), 401)

	g.must(g.kube.StartAPI(t.Context()))
	expect(t, "get", vera.get(services+"/a"), 200)
	expect(t, "a token not seen before", late.get(services), 403)
	expect(t, "a namespace not seen before", root.do(http.MethodPost, servicesIn("elsewhere"), fmt.Sprintf(aService, "a")), 404)
	expect(t, "a namespace with a quota", root.do(http.MethodPost, servicesIn(limited), fmt.Sprintf(aService, "b")), 201)
}

// launch starts a server that need not turn ready, and returns its URL.
func (g *ground) launch(o *options.Options) string {
	g.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.must(err)
	o.SecureServing.Listener = listener
	o.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	ctx, cancel := context.WithCancel(g.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, o, g.t.Output()) }()
	g.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			g.t.Errorf("the server ended with: %v", err)
		}
	})
	return "https://" + listener.Addr().String()
}

// TestStartsWhileAway starts the server before the cluster's API server: it
// lives, is not ready and waits.
func TestStartsWhileAway(t *testing.T) {
	g := newGround(t)
	g.kube.StopAPI()
	o := options.New()
	o.DataDir = t.TempDir()
	o.CoreAPI.CoreAPIKubeconfigPath = g.kubeconfig
	url := g.launch(o)
	framework.Eventually(t, "there is a certificate", func(context.Context) (bool, error) {
		_, err := os.Stat(filepath.Join(o.DataDir, ownAuthority))
		return err == nil, err
	})
	nobody := newCallerAt(t, url, o.DataDir, nil, "")
	root := newCallerAt(t, url, o.DataDir, certificateOf(t, g.users, "root", "system:masters"), "")
	framework.Eventually(t, "it lives", func(context.Context) (bool, error) { return nobody.get("/livez").code == 200, nil })
	for range 3 {
		got := nobody.get("/readyz")
		expect(t, "readyz", got, 500)
		if !strings.Contains(got.body, "[-]cluster-authentication failed") || !strings.Contains(got.body, "[-]informer-sync failed") {
			t.Errorf("it doesn't wait for the cluster: %s", got.body)
		}
		expect(t, "livez", nobody.get("/livez"), 200)
	}
	expect(t, "a user of a cluster that nothing is known of", root.get(services), 401)
	g.must(g.kube.StartAPI(t.Context()))
	framework.Eventually(t, "it is ready", func(context.Context) (bool, error) { return nobody.get("/readyz").code == 200, nil })
	expect(t, "list", root.get(services), 200)
}

// TestToleratesLookupFailure has an account that may not look up the
// authentication configuration. The rest goes on.
func TestToleratesLookupFailure(t *testing.T) {
	g := newGround(t)
	powerless := filepath.Join(t.TempDir(), "kubeconfig")
	g.writeKubeconfig(powerless, g.token("default", "powerless"))
	server := g.serve(func(o *options.Options) {
		o.Authentication.RemoteKubeConfigFile = powerless
		o.Authentication.TolerateInClusterLookupFailure = true
	})
	expect(t, "a certificate", newCaller(t, server, certificateOf(t, g.users, "root", "system:masters"), "").get(services), 401)
	expect(t, "the aggregator", newCaller(t, server, certificateOf(t, g.front, frontName), "", "X-Remote-User", "root").get(services), 401)
	expect(t, "a token", newCaller(t, server, nil, g.token("default", "robot")).get(services), 503)
}
