package hostile

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// kinds are all kinds, with the spec of a valid object each.
var kinds = []struct {
	kind, path string
	// name is free, existing is created first.
	name, existing string
	// body is everything but the metadata.
	body   string
	status bool
}{
	{"Service", services, "a", "b", `"spec":{"ports":[{"port":80}]}`, true},
	{"Endpoints", api + "/namespaces/default/endpoints", "a", "b", `"subsets":[]`, false},
	{"EndpointSlice", api + "/namespaces/default/endpointslices", "a", "b",
		`"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"]}],"ports":[]`, false},
	{"ServiceCIDR", api + "/servicecidrs", "a", "b", `"spec":{"cidrs":["10.5.0.0/24"]}`, true},
	{"IPAddress", api + "/ipaddresses", "10.5.0.1", "10.5.0.2", `"spec":{"parentRef":{"resource":"nodes","name":"n"}}`, false},
	{"NodePortRange", api + "/nodeportranges", "a", "b", `"spec":{"ports":["80"]}`, true},
	{"NodePort", api + "/nodeports", "80", "81", `"spec":{"parentRef":{"resource":"nodes","name":"n"}}`, false},
	{"LoadBalancerPool", api + "/loadbalancerpools", "a", "b", `"spec":{"cidrs":["192.0.2.0/24"]}`, true},
	{"LoadBalancerIP", api + "/loadbalancerips", "192.0.2.1", "192.0.2.2", `"spec":{"parentRef":{"resource":"nodes","name":"n"}}`, false},
	{"ClaimQuota", api + "/namespaces/default/claimquotas", "a", "b", `"spec":{"hard":{"nodeports":10}}`, false},
}

// owners take the given number of bytes, and every kind has them.
func owners(size int) []map[string]string {
	return []map[string]string{{"apiVersion": "v1", "kind": "Node", "uid": "u", "name": strings.Repeat("x", size)}}
}

// TestTooLargeForEtcd sends what the API server's own limit lets pass and etcd
// doesn't take: upstream answers with a 500.
func TestTooLargeForEtcd(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	for _, size := range []struct {
		name  string
		bytes int
	}{
		{"above etcd's limit", 1_700_000},
		{"above the limit of gRPC in etcd", 2_600_000},
	} {
		for _, kind := range kinds {
			object := func(name string, owners []map[string]string) []byte {
				metadata := marshal(t, map[string]any{"name": name, "ownerReferences": owners})
				return fmt.Appendf(nil, `{"apiVersion":"portolan.dev/v1","kind":%q,"metadata":%s,%s}`, kind.kind, metadata, kind.body)
			}
			if created := server.send(t, http.MethodPost, kind.path, jsonType, object(kind.existing, nil)); created.code != http.StatusCreated &&
				created.code != http.StatusConflict {
				t.Fatalf("%s: %v", kind.kind, created)
			}
			many := owners(size.bytes)
			plain := map[string]any{"metadata": map[string]any{"ownerReferences": many}}
			before := server.revision(t)
			check := func(what, method, path, contentType string, body []byte) {
				t.Helper()
				what = fmt.Sprintf("%s, %s: %s", size.name, kind.kind, what)
				if len(body) > 3<<20 {
					t.Fatalf("%s: %d bytes are above the server's own limit", what, len(body))
				}
				server.send(t, method, path, contentType, body).refused(t, what, http.StatusRequestEntityTooLarge, "bytes", "--max-request-bytes",
					"make the object smaller")
			}
			check("create", http.MethodPost, kind.path, jsonType, object(kind.name, many))
			check("update", http.MethodPut, kind.path+"/"+kind.existing, jsonType, object(kind.existing, many))
			check("merge patch", http.MethodPatch, kind.path+"/"+kind.existing, mergePatch, marshal(t, plain))
			check("strategic merge patch", http.MethodPatch, kind.path+"/"+kind.existing, strategic, marshal(t, plain))
			check("apply", http.MethodPatch, kind.path+"/"+kind.existing+"?fieldManager=m&force=true", applyPatch, object(kind.existing, many))
			if kind.kind == "Service" {
				check("update that creates", http.MethodPut, kind.path+"/"+kind.name, jsonType, object(kind.name, many))
				check("apply that creates", http.MethodPatch, kind.path+"/"+kind.name+"?fieldManager=m", applyPatch, object(kind.name, many))
			}
			if kind.status {
				conditions := marshal(t, map[string]any{"status": map[string]any{"conditions": conditions(size.bytes)}})
				check("status", http.MethodPatch, kind.path+"/"+kind.existing+"/status", mergePatch, conditions)
			}
			if after := server.revision(t); after != before {
				t.Errorf("%s: etcd moved from revision %d to %d", kind.kind, before, after)
			}
		}
	}
	server.healthy(t)
}

// TestTooLargeHoldsNothing has as many values as two Services need, which those
// that are too large must give back.
func TestTooLargeHoldsNothing(t *testing.T) {
	t.Parallel()
	server := start(t, func(o *options.Options) {
		o.ClusterIPRanges, o.NodePortRanges = []string{"10.96.0.0/30"}, []string{"20000-20001"}
	})
	service := func(name string, owners []map[string]string) []byte {
		return marshal(t, map[string]any{
			"metadata": map[string]any{"name": name, "ownerReferences": owners},
			"spec":     map[string]any{"type": "NodePort", "ports": []map[string]int{{"port": 80}}},
		})
	}
	for range 5 {
		server.send(t, http.MethodPost, services, jsonType, service("large", owners(1_700_000))).refused(t, "large",
			http.StatusRequestEntityTooLarge, "--max-request-bytes")
	}
	for _, name := range []string{"a", "b"} {
		if created := server.send(t, http.MethodPost, services, jsonType, service(name, nil)); created.code != http.StatusCreated {
			t.Errorf("%s: %v", name, created)
		}
	}
	server.send(t, http.MethodPost, services, jsonType, service("c", nil)).refused(t, "one more", http.StatusUnprocessableEntity,
		"range is full")
	framework.Verify(t, server.store.Client)
}

// conditions are valid and take about the given number of bytes.
func conditions(size int) (conditions []map[string]string) {
	const message = 30_000
	for i := range size / message {
		conditions = append(conditions, map[string]string{
			"type": fmt.Sprint("T", i), "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z",
			"message": strings.Repeat("x", message),
		})
	}
	return conditions
}

func marshal(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
