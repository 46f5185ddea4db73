package cmd

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/store/verify"
)

const (
	webService = `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"namespace":"default","name":"web","uid":"u"},` +
		`"spec":{"type":"NodePort","clusterIP":"10.96.0.5","clusterIPs":["10.96.0.5"],"ports":[{"port":80,"protocol":"TCP","nodePort":30080}]}}`
	webAddress = `{"apiVersion":"portolan.dev/v1","kind":"IPAddress","metadata":{"name":"10.96.0.5"},` +
		`"spec":{"parentRef":{"group":"portolan.dev","resource":"services","namespace":"default","name":"web","uid":"u"}}}`
	webPort = `{"apiVersion":"portolan.dev/v1","kind":"NodePort","metadata":{"name":"30080"},` +
		`"spec":{"protocols":["TCP"],"parentRef":{"group":"portolan.dev","resource":"services","namespace":"default","name":"web","uid":"u"}}}`
	webCIDR  = `{"apiVersion":"portolan.dev/v1","kind":"ServiceCIDR","metadata":{"name":"kubernetes"},"spec":{"cidrs":["10.96.0.0/16"]}}`
	webPorts = `{"apiVersion":"portolan.dev/v1","kind":"NodePortRange","metadata":{"name":"kubernetes"},"spec":{"ports":["30000-32767"]}}`
)

func fillStore(t *testing.T, client *clientv3.Client) {
	t.Helper()
	for key, value := range map[string]string{
		"services/default/web":      webService,
		"ipaddresses/10.96.0.5":     webAddress,
		"nodeports/30080":           webPort,
		"servicecidrs/kubernetes":   webCIDR,
		"nodeportranges/kubernetes": webPorts,
	} {
		if _, err := client.Put(t.Context(), "/registry/portolan.dev/"+key, value); err != nil {
			t.Fatal(err)
		}
	}
}

func openStore(t *testing.T, dir string) *etcd.Store {
	t.Helper()
	store, err := etcd.StartEmbedded(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func closeStore(t *testing.T, store *etcd.Store) {
	t.Helper()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func runVerify(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := newVerifyCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errOut.String(), err
}

func expectError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want an error with %q", err, part)
	}
}

func TestVerifyDataDir(t *testing.T) {
	dir := t.TempDir()
	store := openStore(t, dir)
	fillStore(t, store.Client)

	_, _, err := runVerify(t, "--data-dir", dir)
	expectError(t, err, "in use by another process")
	closeStore(t, store)

	stdout, stderr, err := runVerify(t, "--data-dir", dir)
	want := `Checked at revision 6:
  1 Service, holding 1 address and 1 node port
  1 IPAddress (0 reservations)
  1 NodePort (0 reservations)
  1 ServiceCIDR and 1 NodePortRange
OK: every value that a Service holds is claimed for it, every claim's holder holds it, and nothing is held twice.
`
	if err != nil || stdout != want || stderr != "" {
		t.Errorf("%v\n%s%s\nwant:\n%s", err, stdout, stderr, want)
	}

	stdout, _, err = runVerify(t, "--data-dir", dir, "--etcd-prefix", "/elsewhere")
	if err != nil || !strings.Contains(stdout, "warning: nothing is stored under /elsewhere") {
		t.Errorf("%v\n%s", err, stdout)
	}
}

func TestVerifyViolations(t *testing.T) {
	dir := t.TempDir()
	store := openStore(t, dir)
	fillStore(t, store.Client)
	if _, err := store.Client.Delete(t.Context(), "/registry/portolan.dev/ipaddresses/10.96.0.5"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Client.Put(t.Context(), "/registry/portolan.dev/nodeports/30080", "k8s:enc:kms:v2:key:data"); err != nil {
		t.Fatal(err)
	}
	closeStore(t, store)

	const missing = "services/default/web holds 10.96.0.5, but ipaddresses/10.96.0.5 does not exist"
	stdout, stderr, err := runVerify(t, "--data-dir", dir)
	expectError(t, err, "2 violations")
	for _, part := range []string{"violation: " + missing + "\n", "violation: nodeports: encrypted with kms", "FAILED: 2 violations.\n"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("no %q in:\n%s", part, stdout)
		}
	}
	if strings.Contains(stderr, "Usage:") {
		t.Error("the usage is printed for violations")
	}

	stdout, _, err = runVerify(t, "--data-dir", dir, "-o", "json")
	expectError(t, err, "2 violations")
	var report verify.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v in:\n%s", err, stdout)
	}
	if len(report.Violations) != 2 || !slices.Contains(report.Violations, missing) || report.Unreadable != 1 {
		t.Errorf("got %+v", report)
	}
}

func TestVerifyNoStore(t *testing.T) {
	empty := t.TempDir()
	missing := filepath.Join(empty, "missing")
	for _, dir := range []string{missing, empty} {
		_, _, err := runVerify(t, "--data-dir", dir)
		expectError(t, err, dir+" is not a server's data directory")
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("verify made %v, %v", left, err)
	}
}

func TestVerifyExternal(t *testing.T) {
	config := embed.NewConfig()
	config.Dir = t.TempDir()
	anyPort := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenClientUrls, config.ListenPeerUrls = anyPort, anyPort
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	member, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	<-member.Server.ReadyNotify()
	endpoint := "http://" + member.Clients[0].Addr().String()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	fillStore(t, client)

	stdout, _, err := runVerify(t, "--etcd-servers", endpoint)
	if err != nil || !strings.Contains(stdout, "\nOK: ") {
		t.Errorf("%v\n%s", err, stdout)
	}
}

func TestVerifyFlags(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-o", "yaml"}, `--output must be text or json, not "yaml"`},
		{[]string{"--etcd-cafile", "ca.crt"}, "--etcd-servers is missing"},
		{[]string{"--etcd-certfile", "a.crt"}, "--etcd-certfile and --etcd-keyfile belong together: one of them is missing"},
		{[]string{"--etcd-servers", "http://localhost:1", "--data-dir", "x"},
			"--data-dir and --etcd-servers exclude each other: leave one of them out"},
		{[]string{"surplus"}, "surplus"},
	} {
		_, _, err := runVerify(t, test.args...)
		expectError(t, err, test.want)
	}
}

// TestVerifyRepair repairs the store of a stopped server, in plain text and encrypted.
func TestVerifyRepair(t *testing.T) {
	config := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(config, []byte(encryptionConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string][]string{"plain": nil, "encrypted": {"--encryption-provider-config=" + config}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			store := openStore(t, dir)
			fillStore(t, store.Client)
			const orphan = "/registry/portolan.dev/nodeports/30081"
			if _, err := store.Client.Put(t.Context(), orphan, strings.ReplaceAll(webPort, "30080", "30081")); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Client.Delete(t.Context(), "/registry/portolan.dev/ipaddresses/10.96.0.5"); err != nil {
				t.Fatal(err)
			}
			closeStore(t, store)
			flags := append(flags, "--data-dir", dir)
			if name == "encrypted" {
				if _, err := runCommand(t, append([]string{"migrate"}, flags...)...); err != nil {
					t.Fatal(err)
				}
			}

			const create = "create ipaddresses/10.96.0.5: services/default/web holds it\n"
			const remove = "delete nodeports/30081: services/default/web (uid u) doesn't hold it\n"
			stdout, _, err := runVerify(t, append(flags, "--repair", "--dry-run")...)
			expectError(t, err, "2 violations")
			if !strings.HasPrefix(stdout, "plan: "+create+"plan: "+remove+"Checked at") {
				t.Errorf("dry run:\n%s", stdout)
			}
			stdout, _, err = runVerify(t, append(flags, "--repair")...)
			if err != nil || !strings.HasPrefix(stdout, "plan: "+create+"plan: "+remove+"done: "+create+"done: "+remove+"Checked at") ||
				!strings.Contains(stdout, "\nOK: ") {
				t.Errorf("%v\n%s", err, stdout)
			}
			stdout, _, err = runVerify(t, append(flags, "--repair", "-o", "json")...)
			if err != nil || strings.Contains(stdout, "repairs") {
				t.Errorf("again: %v\n%s", err, stdout)
			}

			store = openStore(t, dir)
			defer closeStore(t, store)
			made, err := store.Client.Get(t.Context(), "/registry/portolan.dev/ipaddresses/10.96.0.5")
			if err != nil || len(made.Kvs) != 1 || bytes.HasPrefix(made.Kvs[0].Value, []byte("k8s:enc:secretbox:")) != (name == "encrypted") {
				t.Errorf("stored is %v, %v", made, err)
			}
		})
	}
	_, _, err := runVerify(t, "--dry-run")
	expectError(t, err, "--dry-run needs --repair")
}
