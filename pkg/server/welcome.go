package server

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

const (
	helloPath = "/apis/portolan.dev/v1/namespaces/default/services/hello"
	// kubectl create service makes a core Service. Every kubectl reads JSON, but YAML in
	// flow style only since 1.33.
	createHello       = "kubectl create service nodeport hello --tcp=80"
	createHelloInJSON = `echo '{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"hello"},` +
		`"spec":{"type":"NodePort","ports":[{"port":80}]}}' | kubectl create -f -`
)

// announce waits until the server is ready, and writes what to do next.
func announce(ctx context.Context, generic *genericapiserver.GenericAPIServer, o *options.Options, files datadir.Files, out io.Writer) {
	client, err := rest.HTTPClientFor(generic.LoopbackClientConfig)
	if err != nil {
		return
	}
	exists := func(path string) bool {
		response, err := client.Get(generic.LoopbackClientConfig.Host + path)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	err = wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(context.Context) (bool, error) { return exists("/readyz"), nil })
	if err != nil {
		return
	}
	if o.InCluster() {
		fmt.Fprint(out, welcomeInCluster(o, files))
	} else {
		fmt.Fprint(out, welcome(o, files, exists(helloPath)))
	}
}

// welcome returns what to do next with a standalone server. hasHello is true if the store
// has the Service hello already.
func welcome(o *options.Options, files datadir.Files, hasHello bool) string {
	create, services := createHello, "services"
	if !o.Core() {
		create, services = createHelloInJSON, "services.portolan.dev"
	}
	kubeconfig := shellWord(absolute(files.Kubeconfig))
	steps := []string{
		"export KUBECONFIG=" + kubeconfig, create, "kubectl get " + services, "kubectl get ipaddresses,nodeports,servicecidrs,nodeportranges",
	}
	if hasHello {
		steps = append(steps[:1], steps[2:]...)
	}
	return fmt.Sprintf(`Portolan is ready on %s
The administrator's kubeconfig is %s
Type next, in another terminal:

  %s

`, endpoint(o).URL, kubeconfig, strings.Join(steps, "\n  "))
}

func welcomeInCluster(o *options.Options, files datadir.Files) string {
	authority := "CA-OF-" + cmp.Or(o.SecureServing.ServerCert.CertKey.CertFile, o.ServingSecret)
	if files.CACert != "" {
		authority = shellWord(absolute(files.CACert))
	}
	return fmt.Sprintf(`Portolan is ready on %s. The cluster decides what users may do.
artifacts/cluster registers it there. To reach it directly, as a user of the cluster:

  kubectl --server=%[1]s --certificate-authority=%s get servicecidrs.portolan.dev,nodeportranges.portolan.dev

`, endpoint(o).URL, authority)
}

// absolute returns the absolute path of a file.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// shellWord quotes a text for a shell, if necessary.
func shellWord(text string) string {
	const plain = "-_./:@%+=,abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if !strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(plain, r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
