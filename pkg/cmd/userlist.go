package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
)

func newUserListCommand() *cobra.Command {
	s := newUserServer()
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List users with their groups, roles and certificates",
		Long: `Lists the users to whom the authority of a data directory has issued
certificates, and those to whom the running server has bound roles. Releases
before this command did not record certificates that they wrote outside the data
directory, so the list does not have these.

The roles are those that are bound to the user or to one of its groups. A role
that does not exist gives no rights until it does.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			return s.list(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), time.Now())
		},
	}
	var sets cliflag.NamedFlagSets
	s.addFlags(sets.FlagSet("user"), "Data directory of the server, whose authority signed the certificates")
	addFlags(cmd, sets)
	return cmd
}

// list prints a line for each user. Certificates of one user with the same groups share a
// line, with the latest expiry.
func (s *userServer) list(ctx context.Context, out, warnings io.Writer, now time.Time) error {
	issued, err := datadir.Users(s.dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return s.notDataDir(err)
	}
	if err != nil {
		return fmt.Errorf("the certificates of %s: %w", s.dataDir, err)
	}
	client, rights, err := s.rights(ctx)
	if err == nil {
		err = rights.readRoles(ctx, client)
	}
	known := err == nil
	if !known {
		fmt.Fprintf(warnings, "Warning: roles are not shown: %v\n", err)
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "USER\tGROUPS\tROLES\tCERTIFICATE")
	for _, line := range merged(issued, rights) {
		roles := "unknown"
		if known {
			roles = rights.describe(line.User)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", line.Name, cmp.Or(strings.Join(line.Groups, ", "), "none"), roles, validity(line.Expires, now))
	}
	return table.Flush()
}

// merged returns the users with certificates and those that only bindings name, ordered by
// name.
func merged(issued []datadir.Issued, rights rights) []datadir.Issued {
	var users []datadir.Issued
	for _, certificate := range issued {
		same := slices.IndexFunc(users, func(other datadir.Issued) bool {
			return other.Name == certificate.Name && slices.Equal(other.Groups, certificate.Groups)
		})
		switch {
		case same < 0:
			users = append(users, certificate)
		case certificate.Expires.After(users[same].Expires):
			users[same].Expires = certificate.Expires
		}
	}
	for _, subjects := range rights.subjects() {
		for _, subject := range subjects {
			if subject.Kind == rbacv1.UserKind && !hasUser(users, subject.Name) {
				users = append(users, datadir.Issued{User: datadir.User{Name: subject.Name}})
			}
		}
	}
	slices.SortStableFunc(users, func(a, b datadir.Issued) int { return cmp.Compare(a.Name, b.Name) })
	return users
}

func hasUser(users []datadir.Issued, name string) bool {
	return slices.ContainsFunc(users, func(other datadir.Issued) bool { return other.Name == name })
}

func validity(expires, now time.Time) string {
	switch {
	case expires.IsZero():
		return "none of this authority"
	case now.After(expires):
		return "expired " + expires.UTC().Format(time.RFC3339)
	}
	return "valid until " + expires.UTC().Format(time.RFC3339)
}

// describe lists the roles of a user and its groups, each once.
func (r rights) describe(who datadir.User) string {
	if r.removedBy(who.Name) != "" {
		return "removed"
	}
	var roles []string
	add := func(subjects []rbacv1.Subject, ref rbacv1.RoleRef, namespace string) {
		if !slices.ContainsFunc(subjects, func(subject rbacv1.Subject) bool {
			return subject.Kind == rbacv1.UserKind && subject.Name == who.Name ||
				subject.Kind == rbacv1.GroupKind && slices.Contains(who.Groups, subject.Name)
		}) {
			return
		}
		role := ref.Name
		if namespace != "" {
			role += " in " + namespace
		}
		if !r.exists(namespace, ref) {
			role += " (does not exist)"
		}
		if !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	for i := range r.cluster {
		add(r.cluster[i].Subjects, r.cluster[i].RoleRef, "")
	}
	for i := range r.namespaced {
		add(r.namespaced[i].Subjects, r.namespaced[i].RoleRef, r.namespaced[i].Namespace)
	}
	if len(roles) == 0 && slices.Contains(who.Groups, user.SystemPrivilegedGroup) {
		// The server does not ask for the role of this group.
		return "everything"
	}
	return cmp.Or(strings.Join(roles, ", "), "none")
}
