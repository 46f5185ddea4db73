package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/users"
)

func newUserCommand() *cobra.Command {
	return newGroup("user", "Add, list and remove users of a standalone server", newUserAddCommand(), newUserListCommand(),
		newUserRemoveCommand())
}

type userAddOptions struct {
	userServer
	out, server string
	groups      []string
	grants      grants
	validity    time.Duration
}

func newUserAddCommand() *cobra.Command {
	o := userAddOptions{userServer: newUserServer(), validity: 365 * 24 * time.Hour}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Create a client certificate for a user, and a kubeconfig with it",
		Long: `Creates a client certificate, signed by the authority of a data directory, and
writes it to a self-contained kubeconfig. It is for a standalone server, which
may be running. If the server is later started at another address, it updates
the kubeconfigs that are still in its data directory. The groups determine what
the user may do:

  portolan:readers   read everything but Secrets, nothing through proxies
  portolan:writers   read the same and Secrets, and write them
  portolan:scrapers  read /metrics and nothing else
  system:masters     everything

Roles give other rights, with --cluster-role and --role: the command binds them
to the user at the running server, in a namespace or, without --namespace,
everywhere. Users without either may do nothing, unless the server's
--authorization-config allows it.

A certificate is valid until it or its authority expires. "portolan user remove"
ends the user's rights earlier. Each data directory has its own authority: if
several servers share an etcd, the other servers need the pki/ca.crt of this one
as their --client-ca-file.`,
		Example: `  # A user who reads Services
  portolan user add ann --group=portolan:readers

  # A user who writes Services and what belongs to them in one namespace
  portolan user add bob --cluster-role=edit --namespace=team

  # A controller on another machine, for a month
  portolan user add robot --group=portolan:writers --server=https://192.0.2.7:6443 --validity=720h --out=robot.kubeconfig`,
		Args:              oneArg,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			user := datadir.User{Name: args[0], Groups: o.groups}
			if err := o.validate(user); err != nil {
				return err
			}
			cmd.SilenceUsage = true
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), user)
		},
	}
	var sets cliflag.NamedFlagSets
	flags := sets.FlagSet("user")
	flags.StringArrayVar(&o.groups, "group", nil, "Group that the user is a member of; may be repeated")
	flags.DurationVar(&o.validity, "validity", o.validity, "How long the certificate is valid")
	flags.StringArrayVar(&o.grants.clusterRoles, "cluster-role", nil, "ClusterRole that the user has; may be repeated")
	flags.StringArrayVar(&o.grants.roles, "role", nil, "Role of --namespace that the user has; may be repeated")
	flags.StringVarP(&o.grants.namespace, "namespace", "n", "", "Namespace in which the user has the roles")
	o.addFlags(flags, "Data directory of the server, whose authority signs the certificate")
	flags.StringVar(&o.out, "out", "", "File of the kubeconfig, which must not exist (default NAME.kubeconfig in --data-dir)")
	flags.StringVar(&o.server, "server", "", "URL of the server in the kubeconfig (default that of the administrator's)")
	addFlags(cmd, sets)
	return cmd
}

func (o *userAddOptions) validate(user datadir.User) error {
	errs := []error{user.Validate()}
	if o.validity <= 0 {
		errs = append(errs, fmt.Errorf("--validity: %s must be more than 0s", o.validity))
	}
	if o.out == "" && strings.ContainsRune(user.Name, filepath.Separator) {
		errs = append(errs, fmt.Errorf("user %q can't be used as a file name: name a file with --out", user.Name))
	}
	if o.server != "" {
		if server, err := url.Parse(o.server); err != nil || server.Scheme != "https" || server.Host == "" {
			errs = append(errs, fmt.Errorf("--server: %q is not a URL like https://192.0.2.7:6443", o.server))
		}
	}
	return errors.Join(append(errs, o.grants.validate())...)
}

func (o *userAddOptions) run(ctx context.Context, out, warnings io.Writer, user datadir.User) error {
	file := cmp.Or(o.out, filepath.Join(o.dataDir, user.Name+".kubeconfig"))
	if _, err := os.Stat(file); err == nil {
		return fmt.Errorf("%s: file exists: remove it, or name another file with --out", file)
	}
	if err := o.prepare(ctx, warnings, user); err != nil {
		return err
	}
	expires, err := datadir.AddUser(o.dataDir, file, o.server, user, time.Now(), o.validity)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: remove it, or name another file with --out", err)
	}
	if err != nil {
		return err
	}
	groups := "no group"
	if len(user.Groups) > 0 {
		groups = strings.Join(user.Groups, ", ")
	}
	_, err = fmt.Fprintf(out, "%s is the kubeconfig of %s, in %s, valid until %s.\n", file, user.Name, groups,
		expires.UTC().Format(time.RFC3339))
	return err
}

// prepare warns of groups without rights, rejects a name that was removed, and binds roles.
// Only roles need a running server.
func (o *userAddOptions) prepare(ctx context.Context, warnings io.Writer, user datadir.User) error {
	client, rights, err := o.rights(ctx)
	if err != nil && !o.grants.empty() {
		return explained(err, "--kubeconfig")
	}
	serverKnown := err == nil
	withRights := rights.groups(users.Known())
	for _, group := range user.Groups {
		if !slices.Contains(withRights, group) {
			fmt.Fprintf(warnings, "Warning: the group %q has no rights, unless the server's --authorization-config grants some. "+
				"The groups with rights are %s\n", group, strings.Join(withRights, ", "))
		}
	}
	if !serverKnown {
		return nil
	}
	if binding := rights.removedBy(user.Name); binding != "" {
		return fmt.Errorf("%s was removed: choose another name, or let the user back in, with all certificates of the name, by "+
			"\"kubectl delete clusterrolebinding %s\"", user.Name, binding)
	}
	return o.grants.bind(ctx, client, warnings, user.Name)
}
