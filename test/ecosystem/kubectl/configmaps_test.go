package kubectl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigMaps has kubectl make ConfigMaps from values, files and manifests.
func TestConfigMaps(t *testing.T) {
	t.Parallel()
	k := start(t)
	dir := t.TempDir()
	for name, content := range map[string]string{"text": "x\n", "binary": "\xff\x00", "env": "A=b\nC=d\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k.Expect(k.Run("create", "configmap", "a", "--from-literal=user=me", "--from-file="+filepath.Join(dir, "text"),
		"--from-file="+filepath.Join(dir, "binary")), "configmap/a created")
	k.Expect(k.Run("create", "cm", "env", "--from-env-file="+filepath.Join(dir, "env")), "configmap/env created")
	k.Expect(k.Fail("create", "cm", "a"), `configmaps "a" already exists`)
	k.Expect(k.Run("get", "cm"), "NAME   DATA   AGE\n")
	if row := rows(k.Run("get", "cm"))["a"]; len(row) < 2 || row[1] != "3" {
		t.Errorf("the row is %v", row)
	}
	k.Expect(k.Run("describe", "cm", "a"), "text:\n----\nx\n", "BinaryData\n====\nbinary: 2 bytes")
	k.Expect(k.Run("get", "cm", "env", "-o", "jsonpath={.data}"), `{"A":"b","C":"d"}`)
	k.Expect(k.Run("patch", "cm", "env", "-p", `{"immutable":true}`), "configmap/env patched")
	k.Expect(k.Fail("patch", "cm", "env", "-p", `{"data":{"A":"e"}}`),
		`The ConfigMap "env" is invalid: data: Forbidden: field is immutable when`, "is set")
	k.Expect(k.Run("explain", "configmap.binaryData"), "FIELD: binaryData <map[string]string>")
	k.Expect(k.Run("delete", "cm", "a"), `configmap "a" deleted`)
}

// TestPrune removes objects that are no longer in the manifest: of kubectl's own list of
// kinds, which includes kinds that only a cluster has, of the kinds that a flag names, or of
// those that a ConfigMap records.
func TestPrune(t *testing.T) {
	t.Parallel()
	k := start(t)
	for name, how := range map[string][]string{
		"default":  {"-l", "app=default"},
		"listed":   {"-l", "app=listed", "--prune-allowlist=core/v1/ConfigMap", "--prune-allowlist=core/v1/Service"},
		"recorded": {"--applyset=configmaps/recorded", "--namespace=default"},
	} {
		prune := append([]string{"apply", "-f", "-", "--prune"}, how...)
		both := k.applySet(pruned(name, "one", "two"), prune...)
		k.Expect(both, "configmap/"+name+"-one created", "service/"+name+"-two created")
		k.Expect(k.applySet(pruned(name, "two"), prune...), "configmap/"+name+"-two unchanged", "configmap/"+name+"-one pruned",
			"service/"+name+"-one pruned")
		k.Expect(k.Run("get", "cm,svc", "-l", "app="+name, "-o", "name"), "configmap/"+name+"-two\nservice/"+name+"-two\n")
	}
}

// applySet feeds a manifest to a command that may use sets of applied objects, which are
// an alpha feature of kubectl.
func (k *kubectl) applySet(manifest string, args ...string) string {
	k.t.Helper()
	cmd := k.Command(k.t.Context(), args...)
	cmd.Env = append(cmd.Env, "KUBECTL_APPLYSET=true")
	cmd.Stdin = strings.NewReader(manifest)
	out, err := cmd.CombinedOutput()
	if err != nil {
		k.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// pruned returns a manifest with a ConfigMap and a Service of each name.
func pruned(app string, names ...string) string {
	var text strings.Builder
	for _, name := range names {
		metadata := "metadata: {name: " + app + "-" + name + ", labels: {app: " + app + "}}\n"
		text.WriteString("---\napiVersion: v1\nkind: ConfigMap\n" + metadata + "data: {a: x}\n" +
			"---\napiVersion: v1\nkind: Service\n" + metadata + "spec: {ports: [{port: 80}]}\n")
	}
	return text.String()
}
