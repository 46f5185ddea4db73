package role

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	rbacv1beta1 "k8s.io/api/rbac/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// Tables of the kinds. Those of bindings are upstream's (pkg/printers/internalversion), which
// takes descriptions from v1beta1.
var (
	Table        = rest.NewDefaultTableConvertor(rbacv1.Resource("roles"))
	ClusterTable = rest.NewDefaultTableConvertor(rbacv1.Resource("clusterroles"))

	BindingTable = bindingTable("rolebindings", "roleBinding", rbacv1beta1.RoleBinding{}.SwaggerDoc()["roleRef"],
		func(b *rbacv1.RoleBinding) (*metav1.ObjectMeta, rbacv1.RoleRef, []rbacv1.Subject) {
			return &b.ObjectMeta, b.RoleRef, b.Subjects
		})
	ClusterBindingTable = bindingTable("clusterrolebindings", "clusterRoleBinding",
		rbacv1beta1.ClusterRoleBinding{}.SwaggerDoc()["roleRef"],
		func(b *rbacv1.ClusterRoleBinding) (*metav1.ObjectMeta, rbacv1.RoleRef, []rbacv1.Subject) {
			return &b.ObjectMeta, b.RoleRef, b.Subjects
		})
)

func bindingTable[T runtime.Object](resource, kind, roleDoc string,
	parts func(T) (*metav1.ObjectMeta, rbacv1.RoleRef, []rbacv1.Subject)) rest.TableConvertor {
	return generic.NewTable(rbacv1.Resource(resource), []metav1.TableColumnDefinition{
		generic.NameColumn(),
		{Name: "Role", Type: "string", Description: roleDoc},
		generic.AgeColumn(),
		{Name: "Users", Type: "string", Priority: 1, Description: "Users in the " + kind},
		{Name: "Groups", Type: "string", Priority: 1, Description: "Groups in the " + kind},
		{Name: "ServiceAccounts", Type: "string", Priority: 1, Description: "ServiceAccounts in the " + kind},
	}, func(binding T) []any {
		meta, role, subjects := parts(binding)
		names := map[string][]string{}
		for _, subject := range subjects {
			name := subject.Name
			if subject.Kind == rbacv1.ServiceAccountKind {
				name = subject.Namespace + "/" + name
			}
			names[subject.Kind] = append(names[subject.Kind], name)
		}
		row := []any{meta.Name, role.Kind + "/" + role.Name, generic.Age(meta.CreationTimestamp)}
		for _, kind := range []string{rbacv1.UserKind, rbacv1.GroupKind, rbacv1.ServiceAccountKind} {
			row = append(row, strings.Join(names[kind], ", "))
		}
		return row
	})
}
