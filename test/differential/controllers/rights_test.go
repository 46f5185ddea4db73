//go:build e2e

package controllers

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/pkg/controllers/portolanclient"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// The permissions that the controllers need: in the cluster, in the namespace
// of the lease, and in Portolan's group when they run on their own.
var (
	clusterRights = []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods", "nodes"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
	}
	leaseRights = []rbacv1.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{"portolan-controllers"},
			Verbs: []string{"get", "update"}},
	}
	portolanRights = []rbacv1.PolicyRule{
		{APIGroups: []string{"portolan.dev"}, Resources: []string{"services"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{"portolan.dev"}, Resources: []string{"endpoints"},
			Verbs: []string{"get", "list", "watch", "create", "update", "delete"}},
		{APIGroups: []string{"portolan.dev"}, Resources: []string{"endpointslices"},
			Verbs: []string{"list", "watch", "create", "update", "delete"}},
	}
)

// TestRights runs the controllers on their own, as a user with only the
// permissions above.
func TestRights(t *testing.T) {
	t.Parallel()
	cluster := startCluster(t)
	kube := kubernetes.NewForConfigOrDie(cluster.Config)
	grant(t, kube, append(clusterRights, portolanRights...), leaseRights)
	server := framework.Start(t, func(o *options.Options) {
		o.CoreAPI.CoreAPIKubeconfigPath = cluster.Kubeconfig
		o.WithControllers = false
	})
	portolan, err := portolanclient.New(kube, server.Config)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, kube: kube, portolan: portolan, server: server}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	asUser := kubernetes.NewForConfigOrDie(impersonate(cluster.Config))
	go func() {
		ended <- controllers.Run(ctx, controllers.Config{Cluster: asUser, Portolan: impersonate(server.Config),
			Options: controllers.NewOptions()})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	for name, selector := range map[string]map[string]string{"web": {"app": "web"}, "manual": nil} {
		service := framework.NewService(namespace, name, nil)
		service.Spec.Selector = selector
		if _, err := server.Client.PortolanV1().Services(namespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	manual := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "manual", Namespace: namespace},
		Subsets: []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "192.0.2.1"}}}}}
	if _, err := portolan.CoreV1().Endpoints(namespace).Create(ctx, manual, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.createPod("a", map[string]string{"app": "web"}, nil)
	f.setStatus("a", no, running, "10.1.0.1")
	f.eventually("unready", func() bool { return f.count("web", false) == 1 && f.count("manual", true) == 1 })
	f.setStatus("a", yes, running)
	f.eventually("ready", func() bool { return f.count("web", true) == 1 })
	if err := portolan.CoreV1().Endpoints(namespace).Delete(ctx, "manual", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.eventually("no mirror", func() bool { return f.count("manual", true) == 0 })
}

func impersonate(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.Impersonate.UserName = "controllers"
	return config
}

func grant(t *testing.T, kube kubernetes.Interface, everywhere, inPortolan []rbacv1.PolicyRule) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "controllers"}
	user := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "controllers"}}
	role := func(kind string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: "controllers"}
	}
	rbac := kube.RbacV1()
	_, err := rbac.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: everywhere}, metav1.CreateOptions{})
	if err == nil {
		_, err = rbac.ClusterRoleBindings().Create(t.Context(),
			&rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: user, RoleRef: role("ClusterRole")}, metav1.CreateOptions{})
	}
	if err == nil {
		_, err = rbac.Roles("portolan").Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: inPortolan}, metav1.CreateOptions{})
	}
	if err == nil {
		_, err = rbac.RoleBindings("portolan").Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: user, RoleRef: role("Role")},
			metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}
