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
		Short: "Print the environment variables that lead to the Services of a namespace",
		Long: `Prints what a kubelet would set in the containers of a namespace for its Services:
of the Service toad-svc with a port 80 that is TOAD_SVC_SERVICE_HOST and
TOAD_SVC_SERVICE_PORT, TOAD_SVC_SERVICE_PORT_HTTP if the port's name is http, and
what Docker's links had, TOAD_SVC_PORT, TOAD_SVC_PORT_80_TCP, and that with _PROTO,
_PORT and _ADDR. The Service kubernetes of the namespace default is always among
them, unless the namespace has its own. Services without a cluster IP are not.

What a format can't say is left out, with a word on stderr: of a Service whose
name begins with a digit only JSON tells.`,
		Example: `  # In a shell
  eval "$(portolan env)"
  curl "http://$TOAD_SVC_SERVICE_HOST:$TOAD_SVC_SERVICE_PORT/"

  # Of another namespace
  portolan env -n team -o dotenv > team.env

  # One of them
  portolan env -o json | jq -r .TOAD_SVC_SERVICE_HOST`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig,
		"kubeconfig of the server, or of the cluster where it is registered. Without it it is what $KUBECONFIG names, ~/.kube/config, or the service account of the Pod that this runs in")
	flags.StringVarP(&o.namespace, "namespace", "n", o.namespace, "The namespace; without it that of the kubeconfig")
	flags.StringVarP(&o.output, "output", "o", o.output, "Output format: "+formats())
	return cmd
}

func formats() string {
	return fmt.Sprintf("%s, %s or %s", envvars.Shell, envvars.Dotenv, envvars.JSON)
}

// run prints nothing on out if there is an error: a shell that evaluates it
// would take half for all.
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
	text, left, err := envvars.Write(envvars.Format(o.output), envvars.Of(namespace, services))
	if err != nil {
		return err
	}
	if len(left) > 0 {
		fmt.Fprintf(errOut, "Left out, as -o %s can't say them: %q\n", o.output, left)
	}
	_, err = io.WriteString(out, text)
	return err
}

// client is of the server that the usual rules lead to, and the namespace that
// is asked for.
func (o *envOptions) client() (client versioned.Interface, namespace string, err error) {
	config, namespace, err := clientConfig(o.kubeconfig, o.namespace)
	if err != nil {
		return nil, "", err
	}
	client, err = versioned.NewForConfig(config)
	return client, namespace, err
}

// services are those of the namespace, and the master service. Who may read but
// his own namespace is told that the latter is missing.
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

// isMissing says whether a server that has namespaces doesn't have this one.
func isMissing(ctx context.Context, client versioned.Interface, namespace string) bool {
	err := client.Discovery().RESTClient().Get().AbsPath("/api/v1/namespaces", namespace).Do(ctx).Error()
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && apierrors.IsNotFound(err) && status.ErrStatus.Details != nil && status.ErrStatus.Details.Kind == "namespaces"
}
