// Package users tests who is known to a server without a cluster, and what they
// may do, through the API.
package users

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/cmd"
	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/test/framework"
)

// add runs portolan user add for a server and returns the file that it makes.
func add(t *testing.T, s *framework.Server, name string, groups ...string) string {
	t.Helper()
	args := []string{"user", "add", name, "--data-dir=" + s.DataDir}
	for _, group := range groups {
		args = append(args, "--group="+group)
	}
	var out bytes.Buffer
	command := cmd.NewCommand()
	command.SetArgs(args)
	command.SetOut(&out)
	if err := command.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.DataDir, name+".kubeconfig")
	if !strings.HasPrefix(out.String(), file+" is the kubeconfig of "+name+", ") {
		t.Errorf("it prints %q", out.String())
	}
	return file
}

func clientOf(t *testing.T, config *rest.Config) *versioned.Clientset {
	t.Helper()
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func service(name string) *v1.Service {
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}}
	svc.Spec.ClusterIP = "None"
	return svc
}

// code is that of an answer.
func code(t *testing.T, err error) int {
	t.Helper()
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return 200
	case errors.As(err, &status):
		return int(status.Status().Code)
	}
	t.Fatal(err)
	return 0
}

// TestGroups has members of each group, and of none, do what they may and what
// they may not, in both groups.
func TestGroups(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	if _, err := s.Client.PortolanV1().Services("default").Create(t.Context(), service("web"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	const allowed, refused, unknown = 200, 403, 404
	for name, test := range map[string]struct {
		groups                                 []string
		read, write, secrets, proxied, metrics int
	}{
		"ned":  {nil, refused, refused, refused, refused, refused},
		"ann":  {[]string{users.Readers}, allowed, refused, refused, refused, refused},
		"will": {[]string{"people", users.Writers}, allowed, allowed, allowed, refused, refused},
		// The Service has no Endpoints.
		"root": {[]string{"system:masters"}, allowed, allowed, allowed, unknown, allowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := clientcmd.BuildConfigFromFlags("", add(t, s, name, test.groups...))
			if err != nil {
				t.Fatal(err)
			}
			client := clientOf(t, config)
			services, raw := client.PortolanV1().Services("default"), client.Discovery().RESTClient()
			expect := func(what string, err error, want int) {
				t.Helper()
				if got := code(t, err); got != want {
					t.Errorf("%s: %d, want %d: %v", what, got, want, err)
				}
			}
			get := func(path string, want int) {
				t.Helper()
				expect(path, raw.Get().AbsPath(path).Do(t.Context()).Error(), want)
			}
			_, err = services.Get(t.Context(), "web", metav1.GetOptions{})
			expect("get", err, test.read)
			watch, err := services.Watch(t.Context(), metav1.ListOptions{})
			expect("watch", err, test.read)
			if err == nil {
				watch.Stop()
			}
			for _, path := range []string{"/api/v1/services", "/api/v1/namespaces", "/apis/portolan.dev/v1/nodeports"} {
				get(path, test.read)
			}
			for _, path := range []string{"/api", "/apis", "/openapi/v3", "/version"} {
				get(path, allowed)
			}
			get("/api/v1/secrets", test.secrets)
			expect("watch Secrets", raw.Get().AbsPath("/api/v1/secrets").Param("watch", "true").Param("timeoutSeconds", "1").Do(t.Context()).Error(),
				test.secrets)
			get("/metrics", test.metrics)
			get("/apis/portolan.dev/v1/namespaces/default/services/web/proxy/", test.proxied)

			_, err = services.Create(t.Context(), service(name), metav1.CreateOptions{})
			expect("create", err, test.write)
			expect("delete", services.Delete(t.Context(), name, metav1.DeleteOptions{}), test.write)
			body := []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` + name + `"}}`)
			expect("create a namespace", raw.Post().AbsPath("/api/v1/namespaces").SetHeader("Content-Type",
				"application/json").Body(body).Do(t.Context()).Error(), test.write)
			expect("impersonate", clientOf(t, as(config, "root")).Discovery().RESTClient().Get().AbsPath("/api").Do(t.Context()).Error(),
				test.metrics)
		})
	}
}

// as returns a config that impersonates a user.
func as(config *rest.Config, user string) *rest.Config {
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:masters"}}
	return config
}

// TestKubectl has a reader use kubectl.
func TestKubectl(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	kubeconfig := add(t, s, "ann", users.Readers)
	kubectl := framework.NewKubectl(t, kubeconfig)
	for _, test := range []struct {
		line, want string
		fails      bool
	}{
		{"get psvc", "No resources found in default namespace.", false},
		{"api-resources --api-group=portolan.dev", "nodeportranges", false},
		{"explain service.spec", "clusterIP", false},
		{"get namespaces", "default", false},
		{"create service clusterip web --tcp=80",
			`services is forbidden: User "ann" cannot create resource "services" in API group "" in the namespace "default"`, true},
	} {
		out, err := kubectl.Try("", strings.Fields(test.line)...)
		if (err != nil) != test.fails || !strings.Contains(out, test.want) {
			t.Errorf("kubectl %s: %v\n%s", test.line, err, out)
		}
	}
}

// TestScraper has a monitoring system read metrics with a certificate that is good
// for nothing else.
func TestScraper(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	config, err := clientcmd.BuildConfigFromFlags("", add(t, s, "prometheus", users.Scrapers))
	if err != nil {
		t.Fatal(err)
	}
	client := clientOf(t, config)
	for _, path := range []string{"/metrics", "/metrics/slis"} {
		data, err := client.Discovery().RESTClient().Get().AbsPath(path).DoRaw(t.Context())
		if err != nil || len(data) == 0 {
			t.Errorf("%s: %d bytes, %v", path, len(data), err)
		}
	}
	for _, path := range []string{"/debug/pprof/heap", "/apis/portolan.dev/v1/services", "/api/v1/secrets"} {
		if _, err := client.Discovery().RESTClient().Get().AbsPath(path).DoRaw(t.Context()); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
