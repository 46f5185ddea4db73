package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/users/removed"
)

// userServer is where users are: the data directory with their certificates, and the server
// with their roles.
type userServer struct {
	dataDir, kubeconfig string
}

func newUserServer() userServer { return userServer{dataDir: options.New().DataDir} }

func (s *userServer) addFlags(flags *pflag.FlagSet, dataDir string) {
	flags.StringVar(&s.dataDir, "data-dir", s.dataDir, dataDir)
	flags.StringVar(&s.kubeconfig, "kubeconfig", "", "kubeconfig of the running server (default the administrator's in --data-dir)")
}

func (s *userServer) client() (kubernetes.Interface, error) {
	if _, err := os.Stat(datadir.AdminKubeconfig(s.dataDir)); s.kubeconfig == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, s.notDataDir(err)
	}
	config, _, err := clientConfig(cmp.Or(s.kubeconfig, datadir.AdminKubeconfig(s.dataDir)), "")
	if err != nil {
		return nil, err
	}
	config.Timeout = 10 * time.Second
	return kubernetes.NewForConfig(config)
}

// notDataDir explains that a file of the data directory is missing.
func (s *userServer) notDataDir(err error) error {
	return fmt.Errorf("%s is not the data directory of a standalone server, or the server has not been started yet: %w", s.dataDir, err)
}

// rights are the bindings of a server.
type rights struct {
	cluster    []rbacv1.ClusterRoleBinding
	namespaced []rbacv1.RoleBinding
	// roles are the Roles that exist and, without a namespace, the ClusterRoles.
	roles map[types.NamespacedName]bool
}

// rights returns a client of the server, and its bindings.
func (s *userServer) rights(ctx context.Context) (kubernetes.Interface, rights, error) {
	client, err := s.client()
	if err != nil {
		return nil, rights{}, err
	}
	cluster, err := client.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, rights{}, errors.New("the server has no roles: it runs with --serve-core=false, or is an earlier release")
	}
	if err != nil {
		return nil, rights{}, err
	}
	namespaced, err := client.RbacV1().RoleBindings("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, rights{}, err
	}
	return client, rights{cluster: cluster.Items, namespaced: namespaced.Items}, nil
}

// readRoles finds out which roles exist.
func (r *rights) readRoles(ctx context.Context, client kubernetes.Interface) error {
	clusterRoles, err := client.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	roles, err := client.RbacV1().Roles("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	r.roles = map[types.NamespacedName]bool{}
	for i := range clusterRoles.Items {
		r.roles[types.NamespacedName{Name: clusterRoles.Items[i].Name}] = true
	}
	for i := range roles.Items {
		r.roles[types.NamespacedName{Namespace: roles.Items[i].Namespace, Name: roles.Items[i].Name}] = true
	}
	return nil
}

// exists reports whether the role of a binding in a namespace, or in the cluster, exists.
func (r *rights) exists(namespace string, ref rbacv1.RoleRef) bool {
	if ref.Kind == "ClusterRole" {
		namespace = ""
	}
	return r.roles[types.NamespacedName{Namespace: namespace, Name: ref.Name}]
}

// groups returns the groups that have roles, after those that are known already.
func (r rights) groups(known []string) []string {
	var others []string
	for _, subjects := range r.subjects() {
		for _, subject := range subjects {
			if subject.Kind == rbacv1.GroupKind {
				others = append(others, subject.Name)
			}
		}
	}
	slices.Sort(others)
	others = slices.DeleteFunc(slices.Compact(others), func(group string) bool { return slices.Contains(known, group) })
	return slices.Concat(known, others)
}

func (r rights) subjects() (all [][]rbacv1.Subject) {
	for i := range r.cluster {
		all = append(all, r.cluster[i].Subjects)
	}
	for i := range r.namespaced {
		all = append(all, r.namespaced[i].Subjects)
	}
	return all
}

// removedBy returns the binding that removes a user, or nothing.
func (r rights) removedBy(name string) string {
	for i := range r.cluster {
		if slices.Contains(removed.Names(&r.cluster[i]), name) {
			return r.cluster[i].Name
		}
	}
	return ""
}
