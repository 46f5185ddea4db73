package kubectl

import (
	"os"
	"path/filepath"
	"testing"
)

// mixed has a kind that is not served, of a group that is, between two Services.
const mixed = `apiVersion: v1
kind: Service
metadata: {name: first}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: volume}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Service
metadata: {name: last}
spec: {ports: [{port: 80}]}
`

// TestUnknownKinds has kubectl go on with the rest of a file: it lists the
// CustomResourceDefinitions to find out whether a kind may come to be served.
func TestUnknownKinds(t *testing.T) {
	t.Parallel()
	k := start(t)
	file := filepath.Join(t.TempDir(), "mixed.yaml")
	if err := os.WriteFile(file, []byte(mixed), 0o600); err != nil {
		t.Fatal(err)
	}
	k.Expect(k.Fail("apply", "-f", file), "service/first created", "service/last created",
		`no matches for kind "PersistentVolumeClaim" in version "v1"`)
	k.Expect(k.Run("get", "crds"), "No resources found")
}
