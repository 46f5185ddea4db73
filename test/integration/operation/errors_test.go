package operation

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestBadInvocations has each say in one sentence what is wrong and which flag is
// to be changed, and leave nothing behind.
func TestBadInvocations(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ flags, want string }{
		{"--bind-address=192.0.2.1", "--bind-address: 192.0.2.1 is not an address of this machine"},
		{"--secure-port=0", "--secure-port 0 must be between 1 and 65535, inclusive. It cannot be turned off with 0"},
		{"--secure-port=https", `invalid argument "https" for "--secure-port" flag: strconv.ParseInt: parsing "https": invalid syntax (see "portolan serve --help")`},
		{"--tls-cert-file=" + file, "--tls-cert-file has no key: name its file with --tls-private-key-file"},
		{"--tls-private-key-file=" + file, "--tls-private-key-file has no certificate: name its file with --tls-cert-file"},
		{"--tls-cert-file=/none --tls-private-key-file=" + file, "--tls-cert-file: there is no file /none"},
		{"--client-ca-file=/none", "--client-ca-file: there is no file /none"},
		{"--client-ca-file=/", "--client-ca-file: / is a directory, not a file"},
		{"--etcd-servers=http://127.0.0.1:1 --etcd-cafile=/none", "--etcd-cafile: there is no file /none"},
		{"--service-cluster-ip-range=10.0.0.0", "--service-cluster-ip-range: 10.0.0.0 has no prefix length, such as the /12 of 10.96.0.0/12"},
		{"--service-cluster-ip-range=ten", `--service-cluster-ip-range: "ten" is not a CIDR, such as 10.96.0.0/12 or fd00:10:96::/112`},
		{"--service-node-port-range=all",
			`--service-node-port-range: ports "all": must be a port, such as "443", or a range of ports, such as "30000-32767"`},
		{"--service-proxy-allow-cidrs=10.0.0.1", "--service-proxy-allow-cidrs: 10.0.0.1 has no prefix length, such as the /12 of 10.96.0.0/12"},
		{"--data-dir=" + file, "--data-dir: " + file + " is a file, not a directory"},
		{"--data-dir=" + file + "/below", "--data-dir: mkdir " + file + ": not a directory"},
		{"--data-dir=", "--data-dir must not be empty"},
		{"--kubeconfig=/none", "--kubeconfig: there is no file /none"},
		{"--no-such-flag", `unknown flag: --no-such-flag (see "portolan serve --help")`},
		{"--event-ttl=0 --service-cluster-ip-range=ten", "" +
			`--service-cluster-ip-range: "ten" is not a CIDR, such as 10.96.0.0/12 or fd00:10:96::/112` + "\n--event-ttl must be at least 1s"},
	} {
		t.Run(test.flags, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			expectError(t, dir, strings.Fields(test.flags), "", test.want)
			if _, err := os.Stat(dir); err == nil {
				t.Error("the data directory was made")
			}
		})
	}
}

// TestPortInUseLeavesNoDirectory starts a server whose port is in use. It names the
// flag, and leaves the data directory as it was.
func TestPortInUseLeavesNoDirectory(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	address := taken.Addr().String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	start := func(t *testing.T, dir string) {
		t.Helper()
		expectError(t, dir, []string{"--secure-port=" + port}, "",
			"--secure-port: "+address+" is in use by another process: stop that one, or choose another port")
	}
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		parent := filepath.Join(t.TempDir(), "parent")
		start(t, filepath.Join(parent, "data"))
		if _, err := os.Stat(parent); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want that it doesn't exist", parent, err)
		}
	})
	t.Run("empty", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		start(t, dir)
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("the directory has %v, %v, want nothing", entries, err)
		}
	})
}

// TestEtcdErrors has a server say at once what is wrong with its etcd.
func TestEtcdErrors(t *testing.T) {
	t.Parallel()
	unknown := httptest.NewUnstartedServer(nil)
	unknown.Config.ErrorLog = silent
	unknown.EnableHTTP2 = true
	unknown.StartTLS()
	t.Cleanup(unknown.Close)
	strict := httptest.NewUnstartedServer(nil)
	strict.Config.ErrorLog = silent
	strict.EnableHTTP2 = true
	strict.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	strict.StartTLS()
	t.Cleanup(strict.Close)
	authority := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(authority, pemOf(strict.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := httptest.NewServer(nil)
	t.Cleanup(plain.Close)
	secured := strings.Replace(plain.URL, "http:", "https:", 1)
	for _, test := range []struct{ name, flags, progress, want string }{
		{"away", "--etcd-servers=http://127.0.0.1:1", "Waiting up to 10s for etcd: http://127.0.0.1:1 can't be reached: connection refused\n",
			"--etcd-servers: http://127.0.0.1:1 can't be reached: connection refused: is it running, and does --etcd-servers say where?"},
		{"authority", "--etcd-servers=" + unknown.URL, "", "--etcd-servers: TLS to " + unknown.URL +
			": tls: failed to verify certificate: x509: certificate signed by unknown authority: --etcd-cafile has to name the authority that signed it"},
		{"no TLS", "--etcd-servers=" + secured, "", "--etcd-servers: TLS to " + secured +
			": tls: first record does not look like a TLS handshake: --etcd-servers says https, is it http?"},
		{"no certificate", "--etcd-servers=" + strict.URL + " --etcd-cafile=" + authority, "", "--etcd-servers: TLS to " + strict.URL +
			": remote error: tls: certificate required: does it accept the certificate of --etcd-certfile?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			expectError(t, t.TempDir(), strings.Fields(test.flags), test.progress, test.want)
		})
	}
}

// expectError runs a server that can't start.
func expectError(t *testing.T, dir string, flags []string, progress, want string) {
	t.Helper()
	args := []string{"serve", "--data-dir=" + dir}
	if !strings.Contains(strings.Join(flags, " "), "--secure-port=") {
		args = append(args, "--secure-port="+framework.FreePort(t))
	}
	stdout, stderr, err := framework.Command(t, append(args, flags...)...)
	want = progress + "Error: " + strings.ReplaceAll(want, "\n", "\nError: ") + "\n"
	if err == nil || err.Error() != "exit status 1" || stdout != "" || stderr != want {
		t.Errorf("it ended with %v and says\n%s%s\nwant\n%s", err, stdout, stderr, want)
	}
}
