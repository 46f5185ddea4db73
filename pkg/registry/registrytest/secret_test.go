package registrytest

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/portolan-dev/portolan/pkg/registry/secret"
)

// TestSecretTable checks all cells except the age. None contains the data of the Secret.
func TestSecretTable(t *testing.T) {
	for want, obj := range map[string]*corev1.Secret{
		"a|Opaque|0": {Type: corev1.SecretTypeOpaque},
		"a|kubernetes.io/tls|2": {
			Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": []byte("hunter2"), "tls.key": []byte("hunter2")},
		},
	} {
		obj.ObjectMeta = metav1.ObjectMeta{Name: "a"}
		cells := cellsOf(t, secret.TableConvertor, obj)
		if got := fmt.Sprintf("%s|%s|%d", cells[:3]...); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if strings.Contains(fmt.Sprint(cells), "hunter2") {
			t.Errorf("%s shows its data: %v", want, cells)
		}
	}
}

// TestSecretWarnings wants warnings about certificates that do not match their keys.
func TestSecretWarnings(t *testing.T) {
	for want, obj := range map[string]*corev1.Secret{
		"": {Type: corev1.SecretTypeOpaque},
		"tls: failed to find any PEM data in certificate input": {
			Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": []byte("hunter2"), "tls.key": []byte("hunter2")},
		},
	} {
		strategy := secret.Rules(runtime.NewScheme()).Strategy
		created, updated := strategy.WarningsOnCreate(t.Context(), obj), strategy.WarningsOnUpdate(t.Context(), obj, obj)
		if got := strings.Join(created, "\n"); got != want || strings.Join(updated, "\n") != want {
			t.Errorf("%s: %q and %q", obj.Type, created, updated)
		}
	}
}
