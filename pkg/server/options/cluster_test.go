package options

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://192.0.2.1:6443"}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`

func TestClusterConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	o := New()
	o.CoreAPI.CoreAPIKubeconfigPath = file
	config, err := o.ClusterConfig()
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://192.0.2.1:6443" || config.BearerToken != "secret" {
		t.Errorf("asks %s with the token %q", config.Host, config.BearerToken)
	}
	if config.QPS >= 0 || config.RateLimiter != nil {
		t.Errorf("the rate is limited: %v, %v", config.QPS, config.RateLimiter)
	}
	if !strings.HasSuffix(config.UserAgent, "/serve") {
		t.Errorf("the user agent is %q", config.UserAgent)
	}
}

func TestNoClusterConfig(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no cluster":    {func(*Options) {}, "neither --kubeconfig nor --in-cluster is set"},
		"no Pod":        {func(o *Options) { o.ServiceAccount = true }, rest.ErrNotInCluster.Error()},
		"no kubeconfig": {func(o *Options) { o.CoreAPI.CoreAPIKubeconfigPath = "/nowhere" }, "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			o := New()
			test.change(o)
			if _, err := o.ClusterConfig(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
