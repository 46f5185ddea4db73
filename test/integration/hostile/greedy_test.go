package hostile

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/test/framework"
)

// spawn runs a server in a process of its own, so that what it uses can be
// measured.
func spawn(t *testing.T, flags ...string) (*framework.Process, *target) {
	t.Helper()
	process := framework.Spawn(t, t.TempDir(), flags...)
	process.WaitReady(t)
	config := process.Config(t)
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return process, &target{Server: &framework.Server{Config: config}, client: &http.Client{Transport: transport}}
}

// TestCostOfBodies sends bodies that took seconds to hours of computing, and
// gigabytes or the process itself, most of it after the answer. What is measured
// is the time that the process computes, not that which passes.
func TestCostOfBodies(t *testing.T) {
	t.Parallel()
	process, server := spawn(t)
	for _, created := range []answer{
		server.send(t, http.MethodPost, services, jsonType, []byte(`{"metadata":{"name":"base"},"spec":{"ports":[{"port":80}]}}`)),
		server.send(t, http.MethodPost, pods, jsonType, []byte(pod("1"))),
	} {
		if created.code != http.StatusCreated {
			t.Fatal(created)
		}
	}
	annotations := func(value string) string { return `{"metadata":{"annotations":{"x":` + value + `}}}` }
	operations := func(first, operation string, n int) string {
		return "[" + first + strings.Repeat(","+operation, n) + "]"
	}
	long := many(700_000, `"a"`)
	for _, a := range []attack{
		patch("a merge patch of 60 KB", mergePatch, annotations(nested(`{"a":`, "1", "}", 9900)), badRequest, "exceeded max depth"),
		patch("a merge patch of 3 MB", mergePatch, annotations(nested(`{"a":`, `"`+strings.Repeat("x", 2_900_000)+`"`, "}", 250)), badRequest,
			"too deep a level"),
		patch("a JSON patch that nests without end", jsonPatch, operations(
			`{"op":"add","path":"/t","value":`+nested(`{"a":`, "{}", "}", 250)+`},{"op":"add","path":"/a","value":{}}`,
			`{"op":"copy","from":"/t","path":"/b"},{"op":"move","from":"/a","path":"/b`+strings.Repeat("/a",
				250)+`/a"},{"op":"move","from":"/b","path":"/a"}`,
			1998), badRequest, "exceeded max depth"),
		patch("a JSON patch that inserts into a long list", jsonPatch, operations(
			`{"op":"add","path":"/x","value":[`+strings.Repeat("0,", 1_000_000)+`0]}`, `{"op":"add","path":"/x/0","value":0}`,
			9990), badRequest, "too many operations"),
		patch("a strategic merge patch of a long list", strategic, `{"metadata":{"finalizers":[`+long+`]}}`, badRequest, "use server-side apply"),
		patch("directives of YAML", applyPatch, directives(100_000)+"--- a", badRequest, "directives"),
		{"a tiny quantity", http.MethodPost, pods, jsonType, pod("1e-999999999"), badRequest, "exponent", nil},
		{"a tiny quantity in a patch", http.MethodPatch, pods + "/base", mergePatch, `{"spec":{"overhead":{"cpu":"1e-999999999"}}}`, badRequest,
			"exponent", nil},
		{"a huge quantity", http.MethodPut, pods + "/base", jsonType, pod("1e999999999"), unprocessable, "may not change", nil},
	} {
		before := process.Usage(t)
		server.send(t, a.method, a.path, a.contentType, []byte(a.body)).refused(t, a.what, a.code, a.part)
		// What goes on after the answer goes on for this long at least.
		time.Sleep(time.Second)
		after := process.Usage(t)
		const enough, most = 2 * time.Second, 512 << 20
		used := after.CPU - before.CPU
		t.Logf("%s: %d bytes cost %s; %d MB resident, %d MB at most", a.what, len(a.body), used, after.Resident>>20, after.Peak>>20)
		if used > enough || after.Peak > most {
			t.Errorf("%s: %s of computing and %d MB", a.what, used, after.Peak>>20)
		}
	}
	if a := server.send(t, http.MethodGet, "/readyz", "", nil); a.code != http.StatusOK {
		t.Errorf("the server is not ready: %v", a)
	}
}

const pods = "/api/v1/namespaces/default/pods"

// pod is one whose container asks for so much.
func pod(cpu string) string {
	return fmt.Sprintf(`{"metadata":{"name":"base"},"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":%q}}}]}}`,
		cpu)
}

func directives(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%%TAG !a%d! tag:b\n", i)
	}
	return text.String()
}
