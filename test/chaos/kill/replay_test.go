package kill

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/portolan-dev/portolan/test/framework"
)

// object returns the Service a after a write, at a revision.
func object(op string, revision int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": "a", "uid": "1", "resourceVersion": fmt.Sprint(revision), "labels": map[string]any{opLabel: op}},
		"spec":     map[string]any{"clusterIP": "10.96.0.1", "ports": []any{map[string]any{"port": int64(80)}}},
	}}
}

// TestReplay wants the replay of a journal to find each way in which a store
// can contradict the answers, and nothing else.
func TestReplay(t *testing.T) {
	t.Parallel()
	a := key{"services", "a"}
	type line struct {
		entry
		object *unstructured.Unstructured
	}
	begin := func(verb, op string) line { return line{entry{Event: sent, Key: a, Verb: verb, Op: op}, nil} }
	end := func(op string, o *unstructured.Unstructured) line {
		return line{entry{Event: acknowledged, Key: a, Op: op}, o}
	}
	lost := func(op string) line { return line{entry{Event: unanswered, Key: a, Op: op}, nil} }
	no := func(op string) line { return line{entry{Event: refused, Key: a, Op: op}, nil} }
	created := []line{begin(create, "1"), end("1", object("1", 5))}
	other := object("1", 5)
	other.Object["spec"].(map[string]any)["clusterIP"] = "10.96.0.2"
	another := object("2", 7)
	another.SetUID("2")
	for name, test := range map[string]struct {
		lines  []line
		shown  *unstructured.Unstructured
		stored string
		seen   string
	}{
		"as acknowledged":       {created, object("1", 5), "", ""},
		"acknowledged and lost": {created, nil, "is stored at 0", "is not as it was acknowledged"},
		"acknowledged, older": {
			append(created[:2:2], begin(replace, "2"), end("2", object("2", 7))), object("1", 5), "is stored at 5", "is not as it was acknowledged",
		},
		"acknowledged, changed": {created, other, "", "is not as it was acknowledged"},
		"deleted":               {append(created[:2:2], begin(remove, "2"), end("2", nil)), nil, "", ""},
		"deleted and back": {
			append(created[:2:2], begin(remove, "2"), end("2", nil)), object("1", 5), "was acknowledged to be gone", "is not as it was acknowledged",
		},
		"unanswered create, done":     {[]line{begin(create, "1"), lost("1")}, object("1", 5), "", ""},
		"unanswered create, not done": {[]line{begin(create, "1"), lost("1")}, nil, "", ""},
		"no end of a create, done":    {[]line{begin(create, "1")}, object("1", 5), "", ""},
		"unanswered update, done":     {append(created[:2:2], begin(replace, "2"), lost("2")), object("2", 7), "", ""},
		"unanswered update, not done": {append(created[:2:2], begin(replace, "2"), lost("2")), object("1", 5), "", ""},
		"unanswered update, gone":     {append(created[:2:2], begin(replace, "2"), lost("2")), nil, "is gone", "is gone"},
		"unanswered update, older": {
			append(created[:2:2], begin(replace, "2"), lost("2")), object("1", 4), "is stored at revision 4", "is neither",
		},
		"unanswered update, in part":  {append(created[:2:2], begin(replace, "2"), lost("2")), other, "", "is neither"},
		"unanswered update, another":  {append(created[:2:2], begin(replace, "2"), lost("2")), another, "", "is another object"},
		"unanswered delete, done":     {append(created[:2:2], begin(remove, "2"), lost("2")), nil, "", ""},
		"unanswered delete, not done": {append(created[:2:2], begin(remove, "2"), lost("2")), object("1", 5), "", ""},
		"unanswered delete, a change": {
			append(created[:2:2], begin(remove, "2"), lost("2")), object("2", 7), "is stored at revision 7", "is neither",
		},
		"refused update, as before": {append(created[:2:2], begin(replace, "2"), no("2")), object("1", 5), "", ""},
		"refused update, done": {
			append(created[:2:2], begin(replace, "2"), no("2")), object("2", 7), "is stored at 7", "is not as it was",
		},
		"not written": {nil, object("1", 5), "no client created it", "no client created it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, err := openJournal(filepath.Join(t.TempDir(), "journal"))
			if err != nil {
				t.Fatal(err)
			}
			defer j.file.Close()
			for _, l := range test.lines {
				j.append(t, l.entry, l.object)
			}
			j.replay(t)
			stored, shown := map[key]int64{}, map[key]*unstructured.Unstructured{}
			if test.shown != nil {
				stored[a], shown[a] = revisionOf(test.shown.Object), test.shown
			}
			expectProblem(t, "stored", j.checkRevisions(stored), test.stored)
			expectProblem(t, "shown", j.checkObjects(shown), test.seen)
			j.settle(t, shown)
			if r := j.records[a]; r != nil && r.doubt != nil {
				t.Errorf("%+v is in doubt after it was observed", *r.doubt)
			}
		})
	}
}

func expectProblem(t *testing.T, what string, problems []string, want string) {
	t.Helper()
	if want == "" && len(problems) > 0 || want != "" && (len(problems) != 1 || !strings.Contains(problems[0], want)) {
		encoded, _ := json.Marshal(problems)
		t.Errorf("%s: got %s, want %q", what, encoded, want)
	}
}

// TestReplayOfOlderStore wants the replay to notice that an older copy of a
// store lacks acknowledged writes.
func TestReplayOfOlderStore(t *testing.T) {
	t.Parallel()
	s := newStore(t, framework.Seed(t), 0)
	older := filepath.Join(s.root, "older")
	for n := range 2 {
		server := s.serve(t)
		server.WaitReady(t)
		connection := connect(t, server)
		s.checkShown(t, connection)
		s.writeAndKill(t, []dynamic.Interface{connection}, server, answering)
		if n == 0 {
			copyDir(t, s.dir(), older)
		}
	}
	s.checkStored(t)
	problems := problemsOf(t, s, older)
	t.Logf("%d problems, such as %s", len(problems), strings.Join(problems[:min(3, len(problems))], "; "))
	if len(problems) == 0 {
		t.Error("the replay accepts a store that has lost acknowledged writes")
	}
}
