// Package trust publishes the certificate authorities of a standalone server: those of
// client certificates in kube-system/extension-apiserver-authentication, from which other
// servers learn whom to trust, as kube-apiserver does
// (pkg/controlplane/controller/clusterauthenticationtrust).
//
// Replicas have different authorities. Each adds its own and leaves those of others until
// they expire.
package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/retry"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

const (
	// configMap is in kube-system.
	configMap = "extension-apiserver-authentication"
	// authorityKey is the key of the authorities of client certificates. Those of the
	// aggregation layer are missing: a standalone server has none.
	authorityKey = "client-ca-file"
	reader       = "extension-apiserver-authentication-reader"
)

// Publish writes authorities into the ConfigMap if they are missing there, and creates the
// Role to read it.
func Publish(ctx context.Context, client kubernetes.Interface, authorities []byte, now time.Time) error {
	if err := ensureReader(ctx, client); err != nil {
		return err
	}
	configMaps := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	return retry.OnError(retry.DefaultRetry, isRace, func() error {
		current, err := configMaps.Get(ctx, configMap, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			created := &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: configMap}, Data: map[string]string{authorityKey: string(Merge(nil, authorities, now))},
			}
			_, err = configMaps.Create(ctx, created, metav1.CreateOptions{})
			return err
		}
		if err != nil {
			return err
		}
		merged := string(Merge([]byte(current.Data[authorityKey]), authorities, now))
		if current.Data[authorityKey] == merged {
			return nil
		}
		changed := current.DeepCopy()
		if changed.Data == nil {
			changed.Data = map[string]string{}
		}
		changed.Data[authorityKey] = merged
		_, err = configMaps.Update(ctx, changed, metav1.UpdateOptions{})
		return err
	})
}

// isRace reports whether another replica was faster.
func isRace(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

// ensureReader creates the Role with which components that delegate authentication read the
// ConfigMap (upstream's plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
func ensureReader(ctx context.Context, client kubernetes.Interface) error {
	roles := client.RbacV1().Roles(metav1.NamespaceSystem)
	if _, err := roles.Get(ctx, reader, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return err
	}
	_, err := roles.Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{
			Name: reader, Labels: map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
			Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
		},
		Rules: []rbacv1.PolicyRule{{
			Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{configMap},
		}},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// Merge returns the authorities that are published, and then those that are missing there,
// as PEM. It drops what has expired and what is no certificate.
func Merge(published, own []byte, now time.Time) []byte {
	var merged []*x509.Certificate
	for _, encoded := range [][]byte{published, own} {
		// Somebody may have written something else than certificates.
		parsed, _ := certutil.ParseCertsPEM(encoded)
		for _, cert := range parsed {
			known := slices.ContainsFunc(merged, func(other *x509.Certificate) bool { return bytes.Equal(other.Raw, cert.Raw) })
			if !known && now.Before(cert.NotAfter) {
				merged = append(merged, cert)
			}
		}
	}
	return certificates.EncodeCerts(merged...)
}
