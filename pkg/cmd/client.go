package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// clientConfig returns the configuration for the server that kubectl's rules select,
// and the namespace. Both arguments may be empty.
func clientConfig(kubeconfig, namespace string) (*rest.Config, string, error) {
	if _, err := os.Stat(kubeconfig); kubeconfig != "" && errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("kubeconfig %s: no such file or directory", kubeconfig)
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	var overrides clientcmd.ConfigOverrides
	overrides.Context.Namespace = namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &overrides)
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", errors.New("no server is known: name its kubeconfig with --kubeconfig or $KUBECONFIG, such as portolan-data/admin.kubeconfig")
	}
	if err != nil {
		return nil, "", err
	}
	namespace, _, err = loader.Namespace()
	return config, namespace, err
}

// explained adds to the error of a request what the user can do about it. The flag names the
// kubeconfig of Portolan.
func explained(err error, flag string) error {
	switch {
	case err == nil:
		return nil
	case utilnet.IsConnectionRefused(err):
		return fmt.Errorf("%w: start the server, or name another one with --kubeconfig", err)
	case apierrors.IsNotFound(err) && isUnknownResource(err):
		return fmt.Errorf("%w: it does not serve portolan.dev: name the kubeconfig of Portolan with %s", err, flag)
	}
	return err
}

// isUnknownResource reports whether a server does not have the resource of a request.
// Otherwise an object is missing, which the answer names.
func isUnknownResource(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && (status.ErrStatus.Details == nil || status.ErrStatus.Details.Name == "")
}
