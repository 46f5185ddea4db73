package users

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestNamespaceContents wants the ServiceAccount default and the server's authority in every
// namespace, also after somebody has deleted or changed them.
func TestNamespaceContents(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	a := newAccounts(t, framework.StartAll(t, nil))
	core := a.admin.CoreV1()
	team := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}
	if _, err := core.Namespaces().Create(ctx, team, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	account := func(ctx context.Context) (bool, error) {
		_, err := core.ServiceAccounts("team").Get(ctx, "default", metav1.GetOptions{})
		return err == nil, err
	}
	authority := func(ctx context.Context) (bool, error) {
		config, err := core.ConfigMaps("team").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return verifies(a.server.Config.Host, config.Data["ca.crt"]), nil
	}
	framework.Eventually(t, "the ServiceAccount default", account)
	framework.Eventually(t, "the authority", authority)
	if err := core.ServiceAccounts("team").Delete(ctx, "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, "another ServiceAccount default", account)
	forged := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": "mine"}}
	if _, err := core.ConfigMaps("team").Update(ctx, forged, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, "the authority after a change", authority)
	if err := core.ConfigMaps("team").Delete(ctx, "kube-root-ca.crt", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, "the authority after its deletion", authority)
	if err := core.Namespaces().Delete(ctx, "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, "the namespace is gone", func(ctx context.Context) (bool, error) {
		_, err := core.Namespaces().Get(ctx, "team", metav1.GetOptions{})
		return apierrors.IsNotFound(err), err
	})
}

// verifies reports whether certificates verify the one that a server presents.
func verifies(server, authorities string) bool {
	roots := x509.NewCertPool()
	location, err := url.Parse(server)
	if err != nil || !roots.AppendCertsFromPEM([]byte(authorities)) {
		return false
	}
	connection, err := tls.Dial("tcp", location.Host, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	return err == nil && connection.Close() == nil
}

// TestReplicasPublishTheirAuthorities wants the authorities of all replicas in every
// namespace.
func TestReplicasPublishTheirAuthorities(t *testing.T) {
	t.Parallel()
	store := framework.StartEtcd(t)
	one := newAccounts(t, framework.StartAll(t, framework.On(store)))
	two := framework.StartAll(t, framework.On(store))
	for _, namespace := range []string{"default", "kube-system"} {
		framework.Eventually(t, "authorities in "+namespace, func(ctx context.Context) (bool, error) {
			config, err := one.admin.CoreV1().ConfigMaps(namespace).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			bundle := config.Data["ca.crt"]
			return strings.Count(bundle, "BEGIN") == 2 && verifies(one.server.Config.Host, bundle) && verifies(two.Config.Host, bundle), nil
		})
	}
	framework.Eventually(t, "authorities of clients", func(ctx context.Context) (bool, error) {
		config, err := one.admin.CoreV1().ConfigMaps("kube-system").Get(ctx, "extension-apiserver-authentication", metav1.GetOptions{})
		return err == nil && strings.Count(config.Data["client-ca-file"], "BEGIN") == 2, err
	})
}

// TestDelegation has the library of API servers delegate authentication and authorization to the
// server, as a ServiceAccount with the rights that its documentation asks for.
func TestDelegation(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	a := newAccounts(t, framework.Start(t, nil))
	a.create("metrics")
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "metrics", Namespace: "default"}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics"}, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "extension-apiserver-authentication-reader"},
	}
	if _, err := a.admin.RbacV1().RoleBindings("kube-system").Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	delegator := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics"}, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "system:auth-delegator"},
	}
	if _, err := a.admin.RbacV1().ClusterRoleBindings().Create(ctx, delegator, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token := a.token("metrics", authenticationv1.TokenRequestSpec{})
	framework.Eventually(t, "the bindings apply", func(ctx context.Context) (bool, error) {
		_, err := a.with(a.server, token).CoreV1().ConfigMaps("kube-system").Get(ctx, "extension-apiserver-authentication", metav1.GetOptions{})
		return err == nil, err
	})

	config := clientcmdapi.NewConfig()
	config.Clusters["a"] = &clientcmdapi.Cluster{
		Server: a.server.Config.Host, CertificateAuthority: filepath.Join(a.server.DataDir, "pki", "ca.crt"),
	}
	config.AuthInfos["a"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["a"] = &clientcmdapi.Context{Cluster: "a", AuthInfo: "a"}
	config.CurrentContext = "a"
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	options := genericoptions.NewDelegatingAuthenticationOptions()
	options.RemoteKubeConfigFile = kubeconfig
	authentication, serving := genericapiserver.AuthenticationInfo{}, &genericapiserver.SecureServingInfo{}
	if err := options.ApplyTo(&authentication, serving, nil); err != nil {
		t.Fatal(err)
	}
	reader, ok := serving.ClientCA.(dynamiccertificates.ControllerRunner)
	if !ok {
		t.Fatalf("the authorities of clients are %T", serving.ClientCA)
	}
	go reader.Run(ctx, 1)
	framework.Eventually(t, "the other server learns the authority of clients", func(context.Context) (bool, error) {
		return strings.Contains(string(serving.ClientCA.CurrentCABundleContent()), "BEGIN CERTIFICATE"), nil
	})
}
