package validation

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// newSecret returns a Secret of a type. Its data is given as keys and values in turn.
func newSecret(kind corev1.SecretType, pairs ...string) *corev1.Secret {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b", ResourceVersion: "1"}, Type: kind, Data: map[string][]byte{},
	}
	for i := 0; i < len(pairs); i += 2 {
		secret.Data[pairs[i]] = []byte(pairs[i+1])
	}
	return secret
}

// TestSecret validates the keys of a Secret and the size of its data.
func TestSecret(t *testing.T) {
	for name, test := range map[string]struct {
		secret *corev1.Secret
		want   []string
	}{
		"nothing": {newSecret(""), nil},
		"any key": {newSecret(corev1.SecretTypeOpaque, "a", "", "A_b-c.d", "x", ".a", "y"), nil},
		"bad keys": {
			newSecret("", "a b", "hunter2", "..", "hunter2"), []string{`data[..]: Invalid value: ".."`, `data[a b]: Invalid value: "a b"`},
		},
		"as much as fits": {newSecret("", "a", strings.Repeat("x", corev1.MaxSecretSize-1), "b", "y"), nil},
		"too much": {
			newSecret("", "a", strings.Repeat("x", corev1.MaxSecretSize), "b", "y"), []string{"data: Too long: may not be more than 1048576 bytes"},
		},
		"a type of its own": {
			newSecret("example.com/a"), nil,
		},
	} {
		expectErrors(t, name, ValidateSecret(test.secret), test.want...)
	}
	unnamed := newSecret("")
	unnamed.Name = "A"
	expectErrors(t, "its name", ValidateSecret(unnamed), `metadata.name: Invalid value: "A"`)
}

// TestSecretTypes validates the required keys of each type.
func TestSecretTypes(t *testing.T) {
	const redacted = `: Invalid value: "<secret contents redacted>": `
	for _, test := range []struct {
		secret *corev1.Secret
		want   []string
	}{
		{newSecret(corev1.SecretTypeServiceAccountToken), []string{"metadata.annotations[kubernetes.io/service-account.name]: Required value"}},
		{newSecret(corev1.SecretTypeDockercfg), []string{"data[.dockercfg]: Required value"}},
		{newSecret(corev1.SecretTypeDockercfg, ".dockercfg", "{}"), nil},
		{newSecret(corev1.SecretTypeDockercfg, ".dockercfg", `"hunter2"`),
			[]string{"data[.dockercfg]" + redacted + "json: cannot unmarshal string"}},
		{newSecret(corev1.SecretTypeDockerConfigJson), []string{"data[.dockerconfigjson]: Required value"}},
		{newSecret(corev1.SecretTypeDockerConfigJson, ".dockerconfigjson", `{"auths":{}}`), nil},
		{newSecret(corev1.SecretTypeDockerConfigJson, ".dockerconfigjson", "{"),
			[]string{"data[.dockerconfigjson]" + redacted + "unexpected end of JSON input"}},
		{newSecret(corev1.SecretTypeBasicAuth), []string{"data[username]: Required value", "data[password]: Required value"}},
		{newSecret(corev1.SecretTypeBasicAuth, "username", ""), nil},
		{newSecret(corev1.SecretTypeBasicAuth, "password", ""), nil},
		{newSecret(corev1.SecretTypeSSHAuth, "ssh-privatekey", ""), []string{"data[ssh-privatekey]: Required value"}},
		{newSecret(corev1.SecretTypeSSHAuth, "ssh-privatekey", "x"), nil},
		{newSecret(corev1.SecretTypeTLS), []string{"data[tls.crt]: Required value", "data[tls.key]: Required value"}},
		{newSecret(corev1.SecretTypeTLS, "tls.crt", ""), []string{"data[tls.key]: Required value"}},
		{newSecret(corev1.SecretTypeTLS, "tls.crt", "", "tls.key", ""), nil},
	} {
		errs := ValidateSecret(test.secret)
		expectErrors(t, string(test.secret.Type), errs, test.want...)
		if strings.Contains(fmt.Sprint(errs), "hunter2") {
			t.Errorf("%s: the errors contain data: %v", test.secret.Type, errs)
		}
	}
	account := newSecret(corev1.SecretTypeServiceAccountToken)
	account.Annotations = map[string]string{corev1.ServiceAccountNameKey: "a"}
	expectErrors(t, "of an account", ValidateSecret(account))
}

// TestSecretUpdate validates updates of a Secret.
func TestSecretUpdate(t *testing.T) {
	const (
		immutable = "immutable: Forbidden: field is immutable when `immutable` is set"
		data      = "data: Forbidden: field is immutable when `immutable` is set"
	)
	fixed := func(value *bool, pairs ...string) *corev1.Secret {
		secret := newSecret("", pairs...)
		secret.Immutable = value
		return secret
	}
	for name, test := range map[string]struct {
		old, secret *corev1.Secret
		want        []string
	}{
		"what it holds": {newSecret("", "a", "x"), newSecret("", "b", "y"), nil},
		"another type":  {newSecret(""), newSecret("Opaque"), []string{`type: Invalid value: "Opaque": field is immutable`}},
		"no longer what it was": {newSecret(corev1.SecretTypeSSHAuth, "ssh-privatekey", "x"), newSecret(corev1.SecretTypeSSHAuth),
			[]string{"data[ssh-privatekey]: Required value"}},
		"to immutable":             {fixed(nil), fixed(ptr.To(true), "a", "x"), nil},
		"from not immutable":       {fixed(ptr.To(false)), fixed(nil, "a", "x"), nil},
		"nothing":                  {fixed(ptr.To(true), "a", "x"), fixed(ptr.To(true), "a", "x"), nil},
		"from immutable":           {fixed(ptr.To(true)), fixed(nil), []string{immutable}},
		"to not immutable":         {fixed(ptr.To(true)), fixed(ptr.To(false)), []string{immutable}},
		"a value":                  {fixed(ptr.To(true), "a", "x"), fixed(ptr.To(true), "a", "y"), []string{data}},
		"a value and that it's so": {fixed(ptr.To(true), "a", "x"), fixed(nil), []string{immutable, data}},
	} {
		expectErrors(t, name, ValidateSecretUpdate(test.secret, test.old), test.want...)
	}
}
