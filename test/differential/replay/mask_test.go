//go:build e2e

package replay

import (
	"encoding/json"
	"reflect"
	"testing"
)

func decoded(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// TestMask masks the answers of one server to one sequence.
func TestMask(t *testing.T) {
	m := newMask(&dualStack, false)
	for _, step := range []struct {
		name      string
		dry       bool
		got, want string
	}{
		{
			"what is chosen has a name by its order", false,
			`{"metadata":{"uid":"aaaaaaaa-0000-4000-8000-000000000001","resourceVersion":"17","creationTimestamp":"2026-01-02T03:04:05Z"},"spec":{"clusterIPs":["10.96.7.7","fd00:10:96::abc"],"ports":[{"nodePort":30500},{"nodePort":30999},{"nodePort":30500}]}}`,
			`{"metadata":{"uid":"UID1","resourceVersion":"RV1","creationTimestamp":"TIME"},"spec":{"clusterIPs":["IP1","IPV6-1"],"ports":[{"nodePort":"PORT1"},{"nodePort":"PORT2"},{"nodePort":"PORT1"}]}}`,
		},
		{"what stays keeps its name, also in texts", false, `{"message":"10.96.7.7 and 10.96.8.8, 30999"}`, `{"message":"IP1 and IP2, PORT2"}`},
		{"what is asked for stands as it is", false, `{"clusterIP":"10.96.0.77","nodePort":30050,"port":31000,"a":"10.200.0.7"}`,
			`{"clusterIP":"10.96.0.77","nodePort":30050,"port":31000,"a":"10.200.0.7"}`},
		{"a dry run's picks have no name", true, `{"clusterIP":"10.96.9.9","nodePort":30777,"healthCheckNodePort":32770}`,
			`{"clusterIP":"DRYIP","nodePort":"DRYPORT","healthCheckNodePort":"FAKEPORT"}`},
		{"nor has a value that cannot be allocated", true, `{"clusterIP":"10.96.0.0"}`, `{"clusterIP":"FAKEIP"}`},
		{"and they are not remembered", false, `{"clusterIP":"10.96.9.9"}`, `{"clusterIP":"IP3"}`},
		{"groups", false, `{"apiVersion":"portolan.dev/v1","message":"services.portolan.dev \"a\"","details":{"group":"portolan.dev","name":"a"}}`, `{"apiVersion":"v1","message":"services \"a\"","details":{"name":"a"}}`},
		{"upstream's groups", false, `{"apiVersion":"networking.k8s.io/v1","message":"IPAddress.networking.k8s.io \"a\""}`,
			`{"apiVersion":"v1","message":"IPAddress \"a\""}`},
		{"causes are a set", false, `{"details":{"causes":[{"field":"b"},{"field":"a"},{"field":"b"}]}}`,
			`{"details":{"causes":[{"field":"a"},{"field":"b"}]}}`},
		{"lists are as old as the store", false, `{"items":[],"metadata":{"resourceVersion":"99","continue":"abc"}}`,
			`{"items":[],"metadata":{"resourceVersion":"","continue":""}}`},
	} {
		masking := masking{mask: m, dry: step.dry}
		if got, want := masking.body(decoded(t, step.got)), decoded(t, step.want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%s, want\n%s", step.name, asJSON(got), asJSON(want))
		}
	}
}

// TestForget wants a new name for a value that was released and is picked
// again.
func TestForget(t *testing.T) {
	m := masking{mask: newMask(&dualStack, false)}
	before := decoded(t, `{"spec":{"clusterIPs":["10.96.7.7"],"ports":[{"nodePort":30500},{"nodePort":30999}]}}`).(map[string]any)
	after := decoded(t, `{"spec":{"clusterIPs":["10.96.7.7"],"ports":[{"nodePort":30999}]}}`).(map[string]any)
	m.body(before)
	m.forget(picksOf(before), picksOf(after))
	const want = `{"spec":{"clusterIPs":["IP1"],"ports":[{"nodePort":"PORT3"},{"nodePort":"PORT2"}]}}`
	if got := asJSON(m.body(before)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDifferences(t *testing.T) {
	theirs := decoded(t, `{"a":1,"b":[1,2],"c":{"d":"x"},"e":[1]}`)
	ours := decoded(t, `{"a":1,"b":[1,3],"c":{"d":"x","f":null},"e":[1,2]}`)
	var paths []string
	for _, d := range differences("", theirs, ours) {
		paths = append(paths, d.path)
	}
	if want := []string{"/b/1", "/c/f", "/e"}; !reflect.DeepEqual(paths, want) {
		t.Errorf("got %q, want %q", paths, want)
	}
	if found := differences("", theirs, theirs); found != nil {
		t.Errorf("a value differs from itself in %v", found)
	}
}

func TestFields(t *testing.T) {
	object := map[string]any{
		"metadata": map[string]any{"name": "a"}, "spec": map[string]any{"ports": []any{map[string]any{"port": 80}}, "type": "NodePort"},
	}
	before := asJSON(object)
	copied := map[string]any{"metadata": object["metadata"], "spec": object["spec"]}
	f := fields{"/spec/ports/0/nodePort": 30000, "/spec/type": nil, "/metadata/annotations/a~1b": "c"}
	f.set(copied)
	if got, want := asJSON(copied), `{"metadata":{"annotations":{"a/b":"c"},"name":"a"},"spec":{"ports":[{"nodePort":30000,"port":80}]}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if after := asJSON(object); after != before {
		t.Errorf("the object that was copied is now %s", after)
	}
	g := fields{"/spec/type": nil, "/metadata/annotations/a~1b": "c"}
	if got, want := asJSON(g.mergePatch()), `{"metadata":{"annotations":{"a/b":"c"}},"spec":{"type":null}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := asJSON(g.jsonPatch()), `[{"op":"add","path":"/metadata/annotations/a~1b","value":"c"},{"op":"remove","path":"/spec/type"}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestPlan wants the values that sequences may name to be in the static bands,
// and no two workers to share one.
func TestPlan(t *testing.T) {
	for _, g := range []*plan{&dualStack, &singleStack} {
		holders := map[string]int{}
		for worker := range g.workers {
			for turn := range 100 {
				values := g.named(worker, turn)
				for _, name := range []string{"free4", "free4b", "free4c", "free4d", "port0", "port1", "port2", "port3", "cidr4", "tiny4"} {
					value := values[name]
					if holder, held := holders[value]; held && holder != worker {
						t.Fatalf("%s is named by worker %d and by worker %d", value, holder, worker)
					}
					holders[value] = worker
				}
			}
		}
		m := masking{mask: newMask(g, false)}
		for value := range holders {
			if got := m.text(value); got != value {
				t.Errorf("%s is taken for a pick", value)
			}
		}
	}
}
