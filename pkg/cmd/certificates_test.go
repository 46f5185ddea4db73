package cmd

import (
	"bytes"
	"strings"
	"testing"
)

func runEtcdCertificates(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newCertificatesCommand()
	cmd.SetArgs(append([]string{"etcd"}, args...))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestEtcdCertificatesFlags(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--namespace=A"}, `--namespace: "A": a lowercase RFC 1123 label`},
		{[]string{"--cluster-domain=-"}, `--cluster-domain: "-": a lowercase RFC 1123 subdomain`},
		{[]string{"--host=a_b"}, `--host: "a_b" is neither a name nor an IP address: `},
		{[]string{"--host=10.0.0.1,*.example.com,::1,*"}, `--host: "*" is neither a name nor an IP address: `},
		{[]string{"surplus"}, "surplus"},
		{[]string{"--kubeconfig=/missing"}, "how to reach the cluster: "},
		{nil, "how to reach the cluster: unable to load in-cluster configuration"},
	} {
		_, err := runEtcdCertificates(t, test.args...)
		expectError(t, err, test.want)
	}
}

func TestEtcdCertificatesHelp(t *testing.T) {
	out, err := runEtcdCertificates(t, "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"Cluster flags:", "--kubeconfig", "Names flags:", "--host",
		"portolan certificates etcd --namespace=portolan"} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in:\n%s", part, out)
		}
	}
}
