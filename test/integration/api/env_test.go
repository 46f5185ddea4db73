package api

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/portolan-dev/portolan/test/framework"
)

// envShell calls portolan env from a shell, with a home of its own.
type envShell struct {
	t    *testing.T
	home string
	env  []string
}

func newEnvShell(t *testing.T, kubeconfig string) *envShell {
	t.Helper()
	home := t.TempDir()
	env := []string{"HOME=" + home, "PATH=" + framework.ProgramDir(t) + string(os.PathListSeparator) + os.Getenv("PATH")}
	if kubeconfig != "" {
		env = append(env, "KUBECONFIG="+kubeconfig)
	}
	return &envShell{t, home, env}
}

func (s *envShell) run(line string) (stdout, stderr string, err error) {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), "sh", "-c", line)
	var out, errOut strings.Builder
	command.Dir, command.Env, command.Stdout, command.Stderr = s.home, s.env, &out, &errOut
	err = command.Run()
	return out.String(), errOut.String(), err
}

func (s *envShell) expect(line, want, wantErr string) {
	s.t.Helper()
	out, errOut, err := s.run(line)
	if err != nil || out != want || errOut != wantErr {
		s.t.Errorf("%s: %v\nprints:\n%s\nand on stderr:\n%s\nwant:\n%s\nand on stderr:\n%s", line, err, out, errOut, want, wantErr)
	}
}

// inNamespace makes a kubeconfig with a namespace of another one.
func inNamespace(t *testing.T, kubeconfig, namespace string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	file := filepath.Join(t.TempDir(), namespace+".kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestEnv has a shell learn from portolan env where Services are.
func TestEnv(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, withRanges("30000-30009", "10.96.0.0/24", "fd00:96::/112"))
	newNamespace(t, coreClient(t, server), "team")
	headless := func(spec *corev1.ServiceSpec) { spec.ClusterIP = corev1.ClusterIPNone }
	external := func(spec *corev1.ServiceSpec) {
		spec.Type, spec.ExternalName = corev1.ServiceTypeExternalName, "someapi.somecompany.com"
	}
	create := func(namespace, name string, change ...func(*corev1.ServiceSpec)) {
		t.Helper()
		_, err := server.Client.PortolanV1().Services(namespace).Create(t.Context(), serviceWith(name, change...), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	create("team", "toad-svc", onAddresses("10.96.0.7", "fd00:96::7"))
	create("team", "six", onAddresses("fd00:96::6"))
	create("team", "toad-headless", headless)
	create("team", "toad-external", external)
	create("default", "elsewhere")

	s := newEnvShell(t, inNamespace(t, server.Kubeconfig, "team"))
	s.expect("portolan env", `export SIX_SERVICE_HOST='fd00:96::6'
export SIX_SERVICE_PORT='80'
export SIX_SERVICE_PORT_A='80'
export SIX_PORT='tcp://[fd00:96::6]:80'
export SIX_PORT_80_TCP='tcp://[fd00:96::6]:80'
export SIX_PORT_80_TCP_PROTO='tcp'
export SIX_PORT_80_TCP_PORT='80'
export SIX_PORT_80_TCP_ADDR='fd00:96::6'
export TOAD_SVC_SERVICE_HOST='10.96.0.7'
export TOAD_SVC_SERVICE_PORT='80'
export TOAD_SVC_SERVICE_PORT_A='80'
export TOAD_SVC_PORT='tcp://10.96.0.7:80'
export TOAD_SVC_PORT_80_TCP='tcp://10.96.0.7:80'
export TOAD_SVC_PORT_80_TCP_PROTO='tcp'
export TOAD_SVC_PORT_80_TCP_PORT='80'
export TOAD_SVC_PORT_80_TCP_ADDR='10.96.0.7'
`, "")
	s.expect(`eval "$(portolan env)"; sh -c 'echo $TOAD_SVC_SERVICE_HOST:$TOAD_SVC_SERVICE_PORT $SIX_PORT'`,
		"10.96.0.7:80 tcp://[fd00:96::6]:80\n", "")

	create("default", "kubernetes", onAddresses("10.96.0.1"))
	create("team", "1toad", onAddresses("10.96.0.8"))
	left := func(format string) string {
		return `Left out because -o ` + format + ` can't express them: ["1TOAD_SERVICE_HOST" "1TOAD_SERVICE_PORT" "1TOAD_SERVICE_PORT_A" "1TOAD_PORT" ` +
			`"1TOAD_PORT_80_TCP" "1TOAD_PORT_80_TCP_PROTO" "1TOAD_PORT_80_TCP_PORT" "1TOAD_PORT_80_TCP_ADDR"]` + "\n"
	}
	s.expect(`set -e; eval "$(portolan env)"; echo $KUBERNETES_SERVICE_HOST $TOAD_SVC_SERVICE_HOST $ELSEWHERE_SERVICE_HOST`,
		"10.96.0.1 10.96.0.7\n", left("sh"))
	s.expect(`portolan env -o dotenv >.env; set -a; . ./.env; sh -c 'echo $KUBERNETES_PORT $SIX_PORT'`,
		"tcp://10.96.0.1:80 tcp://[fd00:96::6]:80\n", left("dotenv"))
	s.expect(`eval "$(portolan env --namespace=default)"; echo $KUBERNETES_SERVICE_PORT $ELSEWHERE_SERVICE_PORT $TOAD_SVC_SERVICE_PORT`,
		"80 80\n", "")
	var values map[string]string
	if out, errOut, err := s.run("portolan env -o json"); err != nil || errOut != "" || json.Unmarshal([]byte(out), &values) != nil ||
		len(values) != 4*8 || values["1TOAD_SERVICE_HOST"] != "10.96.0.8" || values["KUBERNETES_SERVICE_HOST"] != "10.96.0.1" {
		t.Errorf("%v %s\n%s", err, errOut, out)
	}

	create("team", "kubernetes", onAddresses("10.96.0.9"))
	s.expect(`portolan env 2>/dev/null | grep KUBERNETES_SERVICE_HOST`, "export KUBERNETES_SERVICE_HOST='10.96.0.9'\n", "")
	s.expect(`portolan env -n none -o dotenv | grep HOST`, "KUBERNETES_SERVICE_HOST=10.96.0.1\n", "There is no namespace \"none\"\n")
	if !t.Failed() {
		testEnvServers(t, server)
	}
}

// testEnvServers asks the server that --kubeconfig names, and none.
func testEnvServers(t *testing.T, server *framework.Server) {
	s := newEnvShell(t, "")
	refused := func(line, want string) {
		t.Helper()
		if out, errOut, err := s.run(line); err == nil || out != "" || !strings.Contains(errOut, want) {
			t.Errorf("%s: %v\n%s\n%s", line, err, out, errOut)
		}
	}
	s.expect("portolan env --kubeconfig="+server.Kubeconfig+" | grep ELSEWHERE_SERVICE_PORT=", "export ELSEWHERE_SERVICE_PORT='80'\n", "")
	refused("portolan env", "no server is known: name its kubeconfig with --kubeconfig or $KUBECONFIG")
	refused("portolan env --kubeconfig=missing", "missing: no such file")
	refused("portolan env -o yaml", "--output must be sh, dotenv or json")
	refused("portolan env -n ../services --kubeconfig="+server.Kubeconfig, "invalid namespace")
	refused("portolan env more", "takes no arguments")
	config, err := clientcmd.LoadFromFile(server.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.AuthInfos = nil
	config.Contexts[config.CurrentContext].AuthInfo = ""
	anonymous := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, anonymous); err != nil {
		t.Fatal(err)
	}
	refused("portolan env --kubeconfig="+anonymous, "Unauthorized")
}

// TestEnvOfNoNamespace has portolan env say that it found nothing, and why.
func TestEnvOfNoNamespace(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	newNamespace(t, coreClient(t, server), "empty")
	shell := newEnvShell(t, server.Kubeconfig)
	shell.expect("portolan env -n missing", "", "There is no namespace \"missing\"\n")
	shell.expect("portolan env -n empty", "", "There are no Services in the namespace \"empty\"\n")
}
