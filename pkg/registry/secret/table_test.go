package secret

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTable checks all cells except the age. None contains the data of the Secret.
func TestTable(t *testing.T) {
	for want, secret := range map[string]*corev1.Secret{
		"a|Opaque|0": {Type: corev1.SecretTypeOpaque},
		"a|kubernetes.io/tls|2": {
			Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": []byte("hunter2"), "tls.key": []byte("hunter2")},
		},
	} {
		secret.ObjectMeta = metav1.ObjectMeta{Name: "a"}
		table, err := TableConvertor.ConvertToTable(t.Context(), secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		cells := table.Rows[0].Cells
		if got := fmt.Sprintf("%s|%s|%d", cells[0], cells[1], cells[2]); got != want || len(cells) != len(table.ColumnDefinitions) {
			t.Errorf("got %s, want %s", got, want)
		}
		if strings.Contains(fmt.Sprint(cells), "hunter2") {
			t.Errorf("%s shows its data: %v", want, cells)
		}
	}
}

// TestWarnings wants warnings about certificates that do not match their keys.
func TestWarnings(t *testing.T) {
	for want, secret := range map[string]*corev1.Secret{
		"": {Type: corev1.SecretTypeOpaque},
		"tls: failed to find any PEM data in certificate input": {
			Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": []byte("hunter2"), "tls.key": []byte("hunter2")},
		},
	} {
		strategy := strategy{}
		created, updated := strategy.WarningsOnCreate(t.Context(), secret), strategy.WarningsOnUpdate(t.Context(), secret, secret)
		if got := strings.Join(created, "\n"); got != want || strings.Join(updated, "\n") != want {
			t.Errorf("%s: %q and %q", secret.Type, created, updated)
		}
	}
}
