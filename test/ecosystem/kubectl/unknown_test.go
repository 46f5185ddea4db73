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
kind: LimitRange
metadata: {name: limits}
spec: {limits: [{type: Pod, max: {cpu: 1}}]}
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
		`no matches for kind "LimitRange" in version "v1"`)
	k.Expect(k.Run("get", "crds"), "No resources found")
}

// deployment has a kind that can only be read, before a Service.
const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
`

// TestAbsentKinds has kubectl find no Deployments, and go on after one that it cannot create.
func TestAbsentKinds(t *testing.T) {
	t.Parallel()
	k := start(t)
	k.Expect(k.FailFed(deployment, "apply", "-f", "-"), "service/web created",
		"Error from server (MethodNotAllowed)", "deployments.apps need a cluster, and this server has none")
	k.Expect(k.Run("get", "deploy,rs,sts,ds,cj,jobs,pvc,pv,rc", "--all-namespaces"), "No resources found")
	k.Expect(k.Fail("get", "deployment", "web"), `deployments.apps "web" not found`)
	k.Expect(k.Run("explain", "deployment.spec.replicas"), "FIELD: replicas <integer>")
}
