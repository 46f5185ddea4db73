package kubectl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/util/cert"
)

// TestSecrets has kubectl make Secrets of each type that it has a word for.
func TestSecrets(t *testing.T) {
	t.Parallel()
	k := start(t)
	dir := t.TempDir()
	certificate, key, err := cert.GenerateSelfSignedCertKey("toad.example.com", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"tls.crt": string(certificate), "tls.key": string(key), "secret.yaml": secretObject}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	k.Expect(k.Run("create", "secret", "generic", "a", "--from-literal=user=me", "--from-literal=password=hunter2"), "secret/a created")
	k.Expect(k.Run("create", "secret", "tls", "toad-tls", "--cert="+in("tls.crt"), "--key="+in("tls.key")), "secret/toad-tls created")
	k.Expect(k.Run("create", "secret", "docker-registry", "pull", "--docker-server=registry.example", "--docker-username=me",
		"--docker-password=hunter2"), "secret/pull created")
	k.Expect(k.Run("apply", "-f", in("secret.yaml")), "secret/text created")
	k.Expect(k.Run("apply", "-f", in("secret.yaml")), "secret/text ")
	k.Expect(k.Run("apply", "--server-side", "--force-conflicts", "-f", in("secret.yaml")), "secret/text serverside-applied")
	k.Expect(k.Run("get", "secrets"), "NAME       TYPE                             DATA   AGE\n")
	shown := rows(k.Run("get", "secrets"))
	for name, want := range map[string]string{
		"a": "Opaque 2", "toad-tls": "kubernetes.io/tls 2", "pull": "kubernetes.io/dockerconfigjson 1", "text": "Opaque 2",
	} {
		if row := shown[name]; len(row) < 3 || strings.Join(row[1:3], " ") != want {
			t.Errorf("%s: %v, want %s", name, row, want)
		}
	}
	k.Expect(k.Run("describe", "secret", "a"), "Type:  Opaque", "password:  7 bytes", "user:      2 bytes")
	k.Expect(k.Run("get", "secret", "text", "-o", "jsonpath={.data}{.stringData}"), `{"a":"eA==","b":"eQ=="}`)
	k.Expect(k.Run("get", "secrets", "--field-selector=type=kubernetes.io/tls", "-o", "name"), "secret/toad-tls\n")
	k.Expect(k.Run("explain", "secret.stringData"), "FIELD: stringData <map[string]string>")
	k.Expect(k.Run("api-resources", "--no-headers"), "secrets ")
	k.Expect(k.Run("delete", "secret", "a"), `secret "a" deleted`)
}

const secretObject = `
apiVersion: v1
kind: Secret
metadata: {name: text}
data: {a: eA==}
stringData: {b: "y"}
`
