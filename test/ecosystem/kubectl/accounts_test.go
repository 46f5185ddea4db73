package kubectl

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestServiceAccounts has kubectl make ServiceAccounts and tokens, and use these.
func TestServiceAccounts(t *testing.T) {
	t.Parallel()
	k := start(t)
	k.Expect(k.Run("create", "serviceaccount", "builder"), "serviceaccount/builder created")
	k.Expect(k.Run("create", "sa", "other", "--dry-run=server"), "serviceaccount/other created (server dry run)")
	if row := rows(k.Run("get", "sa"))["builder"]; len(row) != 2 {
		t.Errorf("the row is %v", row)
	}
	k.Expect(k.Run("describe", "sa", "builder"), "Name: ", "builder")
	k.Expect(k.Run("create", "rolebinding", "builder", "--clusterrole=view", "--serviceaccount=default:builder"), "created")
	k.Run("create", "secret", "generic", "tie")

	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	server := strings.TrimSpace(k.Run("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"))
	config := func(args ...string) {
		t.Helper()
		k.Run(append([]string{"config", "--kubeconfig=" + kubeconfig}, args...)...)
	}
	config("set-cluster", "a", "--server="+server, "--certificate-authority="+filepath.Join(k.dataDir, "pki", "ca.crt"))
	config("set-context", "a", "--cluster=a", "--user=a")
	config("use-context", "a")
	as := func(token string) *kubectl {
		t.Helper()
		config("set-credentials", "a", "--token="+strings.TrimSpace(token))
		return &kubectl{k.With("--kubeconfig=" + kubeconfig), t, k.dataDir}
	}
	builder := as(k.Run("create", "token", "builder"))
	builder.Expect(builder.Run("auth", "whoami"), "system:serviceaccount:default:builder", "system:serviceaccounts:default")
	framework.Eventually(t, "the binding applies", func(context.Context) (bool, error) {
		out, err := builder.Try("", "get", "services")
		return strings.Contains(out, "No resources found"), err
	})
	builder.Expect(builder.Fail("get", "secrets"), `User "system:serviceaccount:default:builder" cannot list resource "secrets"`)
	tied := as(k.Run("create", "token", "builder", "--duration=10m", "--bound-object-kind=Secret", "--bound-object-name=tie"))
	tied.Expect(tied.Run("auth", "whoami"), "system:serviceaccount:default:builder")
	others := as(k.Run("create", "token", "builder", "--audience=vault"))
	others.Expect(others.Fail("auth", "whoami"), "Unauthorized")
	k.Expect(k.Fail("create", "token", "nobody"), `serviceaccounts "nobody" not found`)
	k.Expect(k.Fail("create", "token", "builder", "--duration=1m"), "may not specify a duration less than 10 minutes")
}
