package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/envvars"
)

type envOptions struct {
	kubeconfig, namespace, output string
}

func newEnvCommand() *cobra.Command {
	o := envOptions{output: string(envvars.Shell)}
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the environment variables of the Services in a namespace",
		Long: `Prints the variables that a kubelet would set for the Services of a namespace in
its containers. For the Service toad-svc with port 80 these are
TOAD_SVC_SERVICE_HOST and TOAD_SVC_SERVICE_PORT, TOAD_SVC_SERVICE_PORT_HTTP if
the port is called http, and the variables of Docker's links: TOAD_SVC_PORT,
TOAD_SVC_PORT_80_TCP, and the latter with _PROTO, _PORT and _ADDR. The Service
kubernetes of the namespace default is included, unless the namespace has one of
its own. Services without a cluster IP are not.

Variables that a format can't express are left out and listed on stderr: those
of a Service whose name begins with a digit exist only in JSON.`,
		Example: `  # In a shell
  eval "$(portolan env)"
  curl "http://$TOAD_SVC_SERVICE_HOST:$TOAD_SVC_SERVICE_PORT/"

  # Of another namespace
  portolan env -n team -o dotenv > team.env

  # One of them
  portolan env -o json | jq -r .TOAD_SVC_SERVICE_HOST`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig,
		"kubeconfig of the server, or of the cluster where it is registered. "+
			"The default is $KUBECONFIG, ~/.kube/config, or the service account of the Pod that the command runs in")
	flags.StringVarP(&o.namespace, "namespace", "n", o.namespace, "Namespace. The default is that of the kubeconfig")
	flags.StringVarP(&o.output, "output", "o", o.output, "Output format: "+formats())
	return cmd
}

func formats() string {
	return fmt.Sprintf("%s, %s or %s", envvars.Shell, envvars.Dotenv, envvars.JSON)
}

// run prints nothing on out if it fails, so that no shell evaluates a part.
func (o *envOptions) run(ctx context.Context, out, errOut io.Writer) error {
	if !slices.Contains(envvars.Formats, envvars.Format(o.output)) {
		return fmt.Errorf("--output must be %s, not %q", formats(), o.output)
	}
	client, namespace, err := o.client()
	if err != nil {
		return err
	}
	services, err := o.services(ctx, client, namespace, errOut)
	if err != nil {
		return err
	}
	text, skipped, err := envvars.Write(envvars.Format(o.output), envvars.Of(namespace, services))
	if err != nil {
		return err
	}
	if len(skipped) > 0 {
		fmt.Fprintf(errOut, "Left out because -o %s can't express them: %q\n", o.output, skipped)
	}
	_, err = io.WriteString(out, text)
	return err
}

// client returns a client of the server that kubectl's rules select, and the
// namespace.
func (o *envOptions) client() (client versioned.Interface, namespace string, err error) {
	config, namespace, err := clientConfig(o.kubeconfig, o.namespace)
	if err != nil {
		return nil, "", err
	}
	client, err = versioned.NewForConfig(config)
	return client, namespace, err
}

// services returns the Services of the namespace and the master service. If the user
// may not read the latter, it prints that it is left out.
func (o *envOptions) services(ctx context.Context, client versioned.Interface, namespace string, errOut io.Writer) ([]v1.Service, error) {
	list, err := client.PortolanV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	if namespace == metav1.NamespaceDefault {
		return list.Items, nil
	}
	if len(list.Items) == 0 {
		if isMissing(ctx, client, namespace) {
			fmt.Fprintf(errOut, "There is no namespace %q\n", namespace)
		} else {
			fmt.Fprintf(errOut, "There are no Services in the namespace %q\n", namespace)
		}
	}
	master, err := client.PortolanV1().Services(metav1.NamespaceDefault).Get(ctx, envvars.MasterService, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return list.Items, nil
	case apierrors.IsForbidden(err):
		fmt.Fprintf(errOut, "Left out: %v\n", err)
		return list.Items, nil
	case err != nil:
		return nil, err
	}
	return append(list.Items, *master), nil
}

// isMissing reports whether a server that serves namespaces doesn't have this one.
func isMissing(ctx context.Context, client versioned.Interface, namespace string) bool {
	err := client.Discovery().RESTClient().Get().AbsPath("/api/v1/namespaces", namespace).Do(ctx).Error()
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && apierrors.IsNotFound(err) && status.ErrStatus.Details != nil && status.ErrStatus.Details.Kind == "namespaces"
}
