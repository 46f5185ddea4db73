//go:build e2e

package certificates

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/pkg/certificates/etcdsecrets"
	"github.com/portolan-dev/portolan/pkg/cmd"
)

const etcdAccount = "portolan-certificates"

// etcdSecrets are what "portolan certificates etcd" makes.
var etcdSecrets = []string{etcdsecrets.AuthoritySecret, etcdsecrets.ServerSecret, etcdsecrets.PeerSecret, etcdsecrets.ClientSecret}

// TestEtcd has the Job make etcd's certificates and the CronJob look at them and
// renew them, with the rights of the manifests.
func TestEtcd(t *testing.T) {
	t.Parallel()
	g := newFixture(t, "etcd/certificates/rbac.yaml")
	kubeconfig := g.kubeconfig(etcdAccount)
	run := func() string {
		command := cmd.NewCommand()
		var out bytes.Buffer
		command.SetOut(&out)
		command.SetArgs([]string{"certificates", "etcd", "--namespace=" + namespace, "--kubeconfig=" + kubeconfig})
		g.must(command.ExecuteContext(t.Context()))
		return out.String()
	}
	if out := run(); strings.Count(out, "created") != len(etcdSecrets) {
		t.Errorf("the first run says:\n%s", out)
	}
	before := g.etcdSecrets()
	if out := run(); strings.Count(out, "left as it is") != len(etcdSecrets) {
		t.Errorf("the second run says:\n%s", out)
	}
	if after := g.etcdSecrets(); !maps.EqualFunc(before, after,
		func(a, b *corev1.Secret) bool { return a.ResourceVersion == b.ResourceVersion }) {
		t.Error("the second run has written")
	}

	client, err := kubernetes.NewForConfig(g.as(etcdAccount))
	g.must(err)
	g.must(etcdsecrets.Ensure(t.Context(), etcdsecrets.Config{
		Client: client, Namespace: namespace, ClusterDomain: "cluster.local", Policy: etcdsecrets.DefaultPolicy,
		Now: func() time.Time { return time.Now().AddDate(0, 9, 0) }, Progress: t.Output(),
	}))
	for name, secret := range g.etcdSecrets() {
		if changed := secret.ResourceVersion != before[name].ResourceVersion; changed != (name != etcdsecrets.AuthoritySecret) {
			t.Errorf("nine months later: that %s is written is %v", name, changed)
		}
	}
	g.expectNoRefusal(etcdAccount)
}

// etcdSecrets are the Secrets by name. Each has what its Pods read.
func (g *fixture) etcdSecrets() map[string]*corev1.Secret {
	g.Helper()
	all := map[string]*corev1.Secret{}
	for _, name := range etcdSecrets {
		secret := g.secret(name)
		all[name] = secret
		if name == etcdsecrets.AuthoritySecret {
			_, err := certificates.ParseBundle(secret.Data["ca.crt"], secret.Data["ca.key"])
			g.must(err)
			continue
		}
		pair, err := certificates.Parse(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
		g.must(err)
		authorities, err := certificates.ParseCerts(secret.Data["ca.crt"])
		g.must(err)
		if authorities.Issuer(pair.Cert) == nil {
			g.Errorf("%s has a certificate that its ca.crt doesn't vouch for", name)
		}
	}
	return all
}
