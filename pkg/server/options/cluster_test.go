package options

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

const kubeconfigFormat = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://192.0.2.1:6443"}}]
users: [{name: u, user: {token: %s}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`

func writeKubeconfig(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, fmt.Appendf(nil, kubeconfigFormat, token), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestClusterConfig(t *testing.T) {
	o := New()
	o.CoreAPI.CoreAPIKubeconfigPath = writeKubeconfig(t, "secret")
	config, err := o.ClusterConfig()
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://192.0.2.1:6443" || config.BearerToken != "secret" {
		t.Errorf("the host is %s, the token %q", config.Host, config.BearerToken)
	}
	if config.QPS >= 0 || config.RateLimiter != nil {
		t.Errorf("the rate is limited: %v, %v", config.QPS, config.RateLimiter)
	}
	if !strings.HasSuffix(config.UserAgent, "/serve") {
		t.Errorf("the user agent is %q", config.UserAgent)
	}
}

// TestSeparateConfigs expects authentication and authorization to use their own
// kubeconfigs.
func TestSeparateConfigs(t *testing.T) {
	o := New()
	o.CoreAPI.CoreAPIKubeconfigPath = writeKubeconfig(t, "cluster")
	for name, test := range map[string]struct {
		file   *string
		config func() (*rest.Config, error)
	}{
		"authentication": {&o.Authentication.RemoteKubeConfigFile, o.AuthenticationConfig},
		"authorization":  {&o.Authorization.RemoteKubeConfigFile, o.AuthorizationConfig},
	} {
		for _, want := range []string{"cluster", "own"} {
			if want == "own" {
				*test.file = writeKubeconfig(t, want)
			}
			config, err := test.config()
			if err != nil {
				t.Fatal(err)
			}
			if config.BearerToken != want || config.QPS >= 0 {
				t.Errorf("%s: the token is %q and the limit %v, want %q", name, config.BearerToken, config.QPS, want)
			}
		}
	}
	if config, err := o.AuthorizationConfig(); err != nil || config.Timeout != o.Authorization.ClientTimeout {
		t.Errorf("authorization waits for %v, error %v", config.Timeout, err)
	}
}

// TestOnlyWithCluster expects flags that need a cluster to be rejected without one.
func TestOnlyWithCluster(t *testing.T) {
	for flag, change := range map[string]func(*Options){
		"authentication-kubeconfig":    func(o *Options) { o.Authentication.RemoteKubeConfigFile = "file" },
		"authorization-kubeconfig":     func(o *Options) { o.Authorization.RemoteKubeConfigFile = "file" },
		"requestheader-client-ca-file": func(o *Options) { o.Authentication.RequestHeader.ClientCAFile = "file" },
	} {
		for _, cluster := range []bool{false, true} {
			o := New()
			change(o)
			o.ServiceAccount = cluster
			if err := o.Complete(); err != nil {
				t.Fatal(err)
			}
			want := "--" + flag + " needs a cluster"
			err := o.Validate()
			if rejected := err != nil && strings.Contains(err.Error(), want); rejected == cluster || cluster && err != nil {
				t.Errorf("--%s, cluster %t: %v", flag, cluster, err)
			}
			if !o.Features.EnablePriorityAndFairness {
				t.Errorf("cluster %t: no priority and fairness", cluster)
			}
		}
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
