package cmd

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/pkg/users/removed"
)

const (
	// effectPeriod is how often the server is asked whether a removal has taken effect.
	effectPeriod = 50 * time.Millisecond
	// effectTimeout is how long that may take.
	effectTimeout = 30 * time.Second
)

func newUserRemoveCommand() *cobra.Command {
	s := newUserServer()
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "End the rights of a user at once",
		Long: `Ends the rights of a user at once, at all servers that share the etcd, although
the user's certificates and tokens are still valid: the server denies all
requests of a user of this name, members of system:masters included, and ends
open watches.

The command writes a ClusterRoleBinding to the ClusterRole portolan:removed. The
user's other bindings stay. Deleting the binding lets the user back in, with all
certificates of the name.`,
		Example:           `  portolan user remove ann`,
		Args:              oneArg,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := (datadir.User{Name: args[0]}).Validate(); err != nil {
				return err
			}
			cmd.SilenceUsage = true
			return s.remove(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0])
		},
	}
	var sets cliflag.NamedFlagSets
	s.addFlags(sets.FlagSet("user"), "Data directory of the server, with the administrator's kubeconfig")
	addFlags(cmd, sets)
	return cmd
}

func (s *userServer) remove(ctx context.Context, out, warnings io.Writer, name string) error {
	client, rights, err := s.rights(ctx)
	if err != nil {
		return explained(err, "--kubeconfig")
	}
	issued, err := datadir.Users(s.dataDir)
	if err != nil {
		fmt.Fprintf(warnings, "Warning: the certificates of %s: %v\n", s.dataDir, err)
	}
	if !hasUser(merged(issued, rights), name) {
		fmt.Fprintf(warnings, "Warning: %s has no certificate of this authority, and no role: check the name with \"portolan user list\"\n", name)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: bindingName("removed", name)},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: users.Removed},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}
	bindings := client.RbacV1().ClusterRoleBindings()
	if _, err := bindings.Create(ctx, binding, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
		if binding, err = bindings.Get(ctx, binding.Name, metav1.GetOptions{}); err != nil {
			return err
		}
		if !slices.Contains(removed.Names(binding), name) {
			return fmt.Errorf("the ClusterRoleBinding %s exists and does not remove %s: delete it first", binding.Name, name)
		}
	} else if err != nil {
		return err
	}
	if err := awaitRemoval(ctx, client, name); err != nil {
		return fmt.Errorf("%s was removed, but it is not known whether the server knows that already: %w", name, err)
	}
	_, err = fmt.Fprintf(out, "%s no longer has any rights. To let the user back in, with all certificates of the name:\n\n"+
		"  kubectl delete clusterrolebinding %s\n", name, binding.Name)
	return err
}

// awaitRemoval waits until the server denies the requests of a user.
func awaitRemoval(ctx context.Context, client kubernetes.Interface, name string) error {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: name, ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "services"},
	}}
	return wait.PollUntilContextTimeout(ctx, effectPeriod, effectTimeout, true, func(ctx context.Context) (bool, error) {
		answer, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return false, err
		}
		return answer.Status.Denied, nil
	})
}

// bindingName returns the name of a binding about a user. User names may have characters that
// names of bindings may not.
func bindingName(what, user string) string {
	if len(content.IsPathSegmentName(user)) > 0 {
		user = fmt.Sprintf("%x", sha256.Sum256([]byte(user)))
	}
	return "portolan:" + what + ":" + user
}
