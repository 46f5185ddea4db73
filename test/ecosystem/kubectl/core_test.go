package kubectl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// coreExamples are what a kube-apiserver takes, too.
const coreExamples = "artifacts/examples/core/"

const deprecated = "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\n"

// TestCore uses what a kube-apiserver serves as one would use that.
func TestCore(t *testing.T) {
	t.Parallel()
	k := start(t)
	toad := coreExamples + "toad.yaml"
	k.Expect(k.Run("create", "-f", toad), "service/toad-svc created", "service/toad-nodeport created")
	row := rows(k.Run("get", "svc"))["toad-nodeport"]
	if len(row) != 6 || row[1] != "NodePort" || row[3] != "<none>" || row[4] != "80:30123/TCP" {
		t.Errorf("got %v", row)
	}
	k.Expect(k.Run("get", "psvc", "toad-svc", "-o", "jsonpath={.metadata.uid} {.metadata.resourceVersion}"),
		k.Run("get", "svc", "toad-svc", "-o", "jsonpath={.metadata.uid} {.metadata.resourceVersion}"))
	all := k.Run("get", "all")
	k.Expect(all, "toad-svc  ")
	if strings.Contains(all, "portolan.dev") {
		t.Errorf("the other group's are among all:\n%s", all)
	}
	k.Expect(k.Fail("create", "-f", toad), `Error from server (AlreadyExists): error when creating`, `services "toad-nodeport" already exists`)
	k.Expect(k.Fail("get", "svc", "none"), `Error from server (NotFound): services "none" not found`)
	k.Expect(k.Fail("patch", "svc", "toad-svc", "--type=merge", "-p", `{"spec":{"clusterIP":"10.96.0.1"}}`),
		`The Service "toad-svc" is invalid: spec.clusterIPs[0]: Invalid value: ["10.96.0.1"]: may not change once set`)
	k.Expect(k.Run("apply", "--server-side", "--force-conflicts", "-f", toad), "service/toad-svc serverside-applied")
	k.Expect(k.Run("apply", "-f", toad), "service/toad-svc configured")
	k.Expect(k.Run("describe", "svc", "toad-svc"), "Session Affinity:         None", "Endpoints:                <none>")
	k.Expect(k.Run("explain", "svc.spec.externalTrafficPolicy"), "KIND:       Service", "VERSION:    v1",
		"FIELD: externalTrafficPolicy <string>")
	k.Expect(k.Run("explain", "ip.spec.parentRef"), "GROUP:      networking.k8s.io")
	k.Expect(k.Run("api-resources", "--no-headers"), "svc ", "ep ", "ip ", "psvc ", "pep ")
	k.Expect(k.Run("get", "servicecidrs"), "NAME         CIDRS          AGE\n", "kubernetes   10.96.0.0/12   ")
	k.Expect(k.Run("get", "ip"), "services/default/toad-svc ")
	k.Run("patch", "svc", "toad-loadbalancer", "--subresource=status", "--type=merge", "-p",
		`{"status":{"loadBalancer":{"ingress":[{"ip":"130.211.53.173"}]}}}`)
	if row := rows(k.Run("get", "svc"))["toad-loadbalancer"]; row[3] != "130.211.53.173" {
		t.Errorf("after its status is set: %v", row)
	}
	k.Expect(k.Run("delete", "-f", toad), `service "toad-svc" deleted`)
	k.Expect(k.Run("get", "psvc,ipaddresses.portolan.dev,nodeports"), "No resources found")
}

// TestCoreCommands has kubectl make Services of its own.
func TestCoreCommands(t *testing.T) {
	t.Parallel()
	k := start(t)
	for name, args := range map[string]string{
		"a": "clusterip a --tcp=80:8080", "b": "clusterip b --clusterip=None", "c": "nodeport c --tcp=80 --node-port=30123",
		"d": "loadbalancer d --tcp=80", "e": "externalname e --external-name=someapi.somecompany.com",
	} {
		k.Expect(k.Run(append([]string{"create", "service"}, strings.Fields(args)...)...), "service/"+name+" created")
	}
	services := rows(k.Run("get", "svc"))
	for name, want := range map[string]string{
		"b": "ClusterIP None <none> <none>", "e": "ExternalName <none> someapi.somecompany.com <none>",
	} {
		if got := strings.Join(services[name][1:5], " "); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if services["c"][4] != "80:30123/TCP" {
		t.Errorf("c: %v", services["c"])
	}
	k.Expect(k.Run("expose", "service", "a", "--name=f", "--port=8080"), "service/f exposed")
	k.Expect(k.Run("get", "svc", "f", "-o", "jsonpath={.spec.selector.app} {.spec.ports[0].port}"), "a 8080")

	endpoints := coreExamples + "external-endpoints.yaml"
	k.Expect(k.Run("create", "-f", endpoints), deprecated+"endpoints/external-service created")
	k.Expect(k.Run("get", "ep"), deprecated, "external-service   11.11.11.11:80,22.22.22.22:80   ")
	slices := coreExamples + "external-endpointslices.yaml"
	k.Expect(k.Run("create", "-f", slices), "endpointslice.discovery.k8s.io/external-database-1 created")
	if row := rows(k.Run("get", "endpointslices"))["external-database-1"]; len(row) < 4 ||
		strings.Join(row[1:4], " ") != "IPv4 5432 11.11.11.11,22.22.22.22" {
		t.Errorf("got %v", row)
	}
	k.Expect(k.Run("describe", "svc", "external-database"), "11.11.11.11:5432,22.22.22.22:5432")
	k.Expect(k.Run("delete", "all", "--all"), `service "external-database" deleted`)
	k.Expect(k.Run("get", "svc,ep"), deprecated+"No resources found")
	// As in a cluster, a slice that somebody wrote by hand stays.
	k.Expect(k.Run("delete", "endpointslice", "external-database-1"), `endpointslice.discovery.k8s.io "external-database-1" deleted`)
	k.Expect(k.Run("get", "endpointslices"), "No resources found")
}

// TestPodsAndNodes shows what kubectl shows of them, and of Events and Leases.
func TestPodsAndNodes(t *testing.T) {
	t.Parallel()
	k := start(t)
	objects := filepath.Join(t.TempDir(), "objects.yaml")
	if err := os.WriteFile(objects, []byte(coreObjects), 0o600); err != nil {
		t.Fatal(err)
	}
	k.Run("create", "-f", objects)
	k.Expect(k.Run("run", "web", "--image=registry.example/web", "--port=8080", "--labels=app=web"), "pod/web created")
	k.Expect(k.Run("expose", "pod", "web", "--port=80", "--target-port=8080"), "service/web exposed")
	k.Expect(k.Run("label", "pod", "web", "tier=front"), "pod/web labeled")
	header := func(args ...string) string {
		line, _, _ := strings.Cut(k.Run(args...), "\n")
		return strings.Join(strings.Fields(line), " ")
	}
	for want, resource := range map[string]string{
		"NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES":                           "pods",
		"LAST SEEN TYPE REASON OBJECT SUBOBJECT SOURCE MESSAGE FIRST SEEN COUNT NAME":                     "events",
		"NAME STATUS ROLES AGE VERSION INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME": "nodes",
		"NAME HOLDER AGE": "leases",
	} {
		if got := header("get", resource, "-o", "wide"); got != want {
			t.Errorf("%s: %s", resource, got)
		}
	}
	if row := rows(k.Run("get", "pods"))["web"]; strings.Join(row[1:4], " ") != "0/1 Pending 0" {
		t.Errorf("got %v", row)
	}
	k.Run("patch", "pod", "web", "--subresource=status", "--type=merge", "-p",
		`{"status":{"phase":"Running","podIP":"192.0.2.1","containerStatuses":[{"name":"web","ready":true,"restartCount":2,"image":"","imageID":"","state":{"running":{}}}],"conditions":[{"type":"Ready","status":"True"}]}}`)
	if row := rows(k.Run("get", "pods", "-o", "wide"))["web"]; strings.Join(row[1:4], " ")+" "+row[5] != "1/1 Running 2 192.0.2.1" {
		t.Errorf("got %v", row)
	}
	if row := rows(k.Run("get", "nodes"))["node-1"]; strings.Join(row[1:3], " ")+" "+row[4] != "Ready,SchedulingDisabled worker v1.36.3" {
		t.Errorf("got %v", row)
	}
	k.Expect(k.Run("get", "events"), "Warning   Why      service/web   What")
	k.Expect(k.Run("get", "leases"), "leader   me       ")
	k.Expect(k.Run("describe", "pod", "web"), "Running", "192.0.2.1", "8080/TCP")
	k.Expect(k.Run("describe", "node", "node-1"), "Roles:              worker", "Unschedulable:      true")
	k.Expect(k.Run("events", "--for=service/web"), "Why")
	for _, field := range []string{"pod.spec.containers.ports", "node.status.addresses", "event.involvedObject", "lease.spec.holderIdentity",
		"events.regarding --api-version=events.k8s.io/v1"} {
		k.Expect(k.Run(append([]string{"explain"}, strings.Fields(field)...)...), "FIELD: ")
	}
	k.Expect(k.Run("get", "all"), "pod/web ", "service/web ")
	k.Expect(k.Run("delete", "pod", "web"), `pod "web" deleted`)
	k.Expect(k.Run("api-resources", "--no-headers"), "po ", "no ", "ns ", "ev ", "leases ")
}

// TestIngresses has kubectl make an Ingress, and shows it and its class.
func TestIngresses(t *testing.T) {
	t.Parallel()
	k := start(t)
	class := filepath.Join(t.TempDir(), "class.yaml")
	if err := os.WriteFile(class, []byte(ingressClass), 0o600); err != nil {
		t.Fatal(err)
	}
	k.Expect(k.Run("create", "-f", class), "ingressclass.networking.k8s.io/web created")
	k.Expect(k.Run("get", "ingressclasses"), "NAME            CONTROLLER                PARAMETERS             AGE\n",
		"web (default)   example.com/web-ingress   Config.example.com/a   ")
	k.Expect(k.Run("create", "ingress", "toad", "--class=web", "--rule=toad.example.com/a*=toad:http,tls=toad-tls",
		"--default-backend=other:80"), "ingress.networking.k8s.io/toad created")
	k.Expect(k.Run("get", "ing"), "NAME   CLASS   HOSTS              ADDRESS   PORTS     AGE\n",
		"toad   web     toad.example.com             80, 443   ")
	k.Run("patch", "ing", "toad", "--subresource=status", "--type=merge", "-p", `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}`)
	if row := rows(k.Run("get", "ing"))["toad"]; row[3] != "192.0.2.1" {
		t.Errorf("after its status is set: %v", row)
	}
	k.Expect(k.Run("describe", "ing", "toad"), "Address:          192.0.2.1", "Ingress Class:    web", "toad-tls terminates toad.example.com",
		"/a   toad:http (")
	k.Expect(k.Run("apply", "--server-side", "--dry-run=server", "-f", class), "ingressclass.networking.k8s.io/web serverside-applied")
	k.Expect(k.Run("explain", "ing.spec.rules.http.paths.pathType"), "GROUP:      networking.k8s.io", "FIELD: pathType <string>")
	k.Expect(k.Run("explain", "ingressclass.spec.parameters"), "FIELD: parameters <IngressClassParametersReference>")
	k.Expect(k.Run("api-resources", "--no-headers"), "ing ", "ingressclasses ")
	k.Expect(k.Run("delete", "ing", "toad"), `ingress.networking.k8s.io "toad" deleted`)
}

const ingressClass = `
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: web, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}
spec: {controller: example.com/web-ingress, parameters: {apiGroup: example.com, kind: Config, name: a}}
`

const coreObjects = `
apiVersion: v1
kind: Node
metadata: {name: node-1, labels: {node-role.kubernetes.io/worker: ""}}
spec: {unschedulable: true}
status: {nodeInfo: {kubeletVersion: v1.36.3}, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Event
metadata: {name: e}
involvedObject: {apiVersion: v1, kind: Service, name: web, namespace: default}
type: Warning
reason: Why
message: What
lastTimestamp: "2026-01-01T00:00:00Z"
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: leader}
spec: {holderIdentity: me}
`

// TestNamespaces works in a namespace of one's own.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	k := start(t)
	namespaces := rows(k.Run("get", "ns"))
	for _, name := range []string{"default", "kube-node-lease", "kube-public", "kube-system"} {
		if row := namespaces[name]; len(row) != 3 || row[1] != "Active" {
			t.Errorf("%s: %v", name, row)
		}
	}
	k.Expect(k.Fail("create", "service", "clusterip", "a", "--tcp=80", "-n", "team"),
		`error: failed to create ClusterIP service: namespaces "team" not found`)
	k.Expect(k.Run("create", "namespace", "team"), "namespace/team created")
	k.Expect(k.Run("create", "service", "clusterip", "a", "--tcp=80", "-n", "team"), "service/a created")
	k.Expect(k.Run("describe", "ns", "team"), "Labels:       kubernetes.io/metadata.name=team\n", "Status:       Active\n")
	k.Expect(k.Run("label", "ns", "team", "a=b"), "namespace/team labeled")
	k.Expect(k.Run("explain", "namespace.spec.finalizers"), "KIND:       Namespace", "FIELD: finalizers <[]string>")
	k.Expect(k.Fail("delete", "ns", "default"),
		`Error from server (Forbidden): namespaces "default" is forbidden: this namespace may not be deleted`)
	k.Expect(k.Run("delete", "ns", "team"), `namespace "team" deleted`)
	k.Expect(k.Fail("get", "ns", "team"), `Error from server (NotFound): namespaces "team" not found`)
	k.Expect(k.Run("get", "svc,psvc,ip", "-A"), "No resources found")
}
