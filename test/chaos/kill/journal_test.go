package kill

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// opLabel has the number of the write that an object is the result of.
const opLabel = "test.portolan.dev/op"

// event is the type of a line of the journal.
type event string

const (
	// sent: a client is about to send a write.
	sent event = "sent"
	// acknowledged: the server answered that the write was carried out.
	acknowledged event = "acknowledged"
	// refused: the server answered that the write was not carried out.
	refused event = "refused"
	// unanswered: the outcome of the write is not known.
	unanswered event = "unanswered"
	// observed: a restarted server showed the outcome of unanswered writes.
	observed event = "observed"
)

// key names an object: its resource and its name.
type key struct{ Resource, Name string }

func (k key) String() string { return k.Resource + "/" + k.Name }

// entry is one line of a journal.
type entry struct {
	Event event  `json:"event"`
	Key   key    `json:"key"`
	Op    string `json:"op,omitempty"`
	Verb  string `json:"verb,omitempty"`
	// Object is the object as sent, answered or observed, with its resource
	// version, addresses and ports. It is null for no object.
	Object json.RawMessage `json:"object,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// journal is an append-only file of the clients' writes and the answers. The
// process that writes it is not killed.
type journal struct {
	mu   sync.Mutex
	file *os.File
	// replayed is the offset up to which the records are complete.
	replayed int64
	records  map[key]*record
	writes   int
}

// record has the state of one object.
type record struct {
	// object is the object as last acknowledged or observed, or nil if it was
	// gone.
	object map[string]any
	// doubt is a write whose outcome is not known.
	doubt *entry
}

func openJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{file: file, records: map[key]*record{}}, nil
}

// append adds a line. Object may be nil.
func (j *journal) append(t testing.TB, e entry, object *unstructured.Unstructured) {
	t.Helper()
	var err error
	if object != nil {
		if e.Object, err = json.Marshal(object.Object); err != nil {
			t.Error(err)
		}
	}
	line, err := json.Marshal(e)
	if err != nil {
		t.Error(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		t.Error(err)
	}
}

// replay applies new lines to the records.
func (j *journal) replay(t testing.TB) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := bufio.NewReader(io.NewSectionReader(j.file, j.replayed, 1<<62))
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		j.replayed += int64(len(line))
		if err := j.take(line); err != nil {
			t.Fatalf("the journal: %v", err)
		}
	}
}

func (j *journal) take(line []byte) error {
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	r := j.records[e.Key]
	if r == nil {
		r = &record{}
		j.records[e.Key] = r
	}
	switch e.Event {
	case sent:
		if r.doubt != nil {
			return fmt.Errorf("%s of %s was sent while %s was in doubt", e.Op, e.Key, r.doubt.Op)
		}
		j.writes++
		r.doubt = &e
	case acknowledged, observed:
		r.object, r.doubt = nil, nil
		if len(e.Object) > 0 {
			return utiljson.Unmarshal(e.Object, &r.object)
		}
	case refused:
		r.doubt = nil
	}
	return nil
}

// checkRevisions compares the revisions of objects in the store with the
// journal.
func (j *journal) checkRevisions(stored map[key]int64) (problems []string) {
	for _, k := range j.keys() {
		r, revision := j.records[k], stored[k]
		if problem := r.checkRevision(revision); problem != "" {
			problems = append(problems, fmt.Sprintf("%s: %s", k, problem))
		}
	}
	return append(problems, j.strangers(slices.Collect(maps.Keys(stored)))...)
}

func (r *record) checkRevision(revision int64) string {
	before := revisionOf(r.object)
	switch {
	case r.doubt == nil && before == revision:
	case r.doubt == nil && r.object == nil:
		return fmt.Sprintf("is stored at revision %d, and was acknowledged to be gone", revision)
	case r.doubt == nil:
		return fmt.Sprintf("was acknowledged at revision %d and is stored at %d (0: not at all)", before, revision)
	case revision == 0 && (r.object == nil || r.doubt.Verb == remove):
	case revision == 0:
		return fmt.Sprintf("is gone after an unanswered %s", r.doubt.Verb)
	case revision < before || revision > before && r.doubt.Verb == remove:
		return fmt.Sprintf("is stored at revision %d after an unanswered %s, and was acknowledged at %d", revision, r.doubt.Verb, before)
	}
	return ""
}

// checkObjects compares the objects that a server shows with the journal.
func (j *journal) checkObjects(shown map[key]*unstructured.Unstructured) (problems []string) {
	for _, k := range j.keys() {
		var object map[string]any
		if shown[k] != nil {
			object = shown[k].Object
		}
		if problem := j.records[k].checkObject(object); problem != "" {
			problems = append(problems, fmt.Sprintf("%s: %s", k, problem))
		}
	}
	return append(problems, j.strangers(slices.Collect(maps.Keys(shown)))...)
}

func (r *record) checkObject(object map[string]any) string {
	if same(r.object, object) {
		return ""
	}
	if r.doubt == nil {
		return fmt.Sprintf("is not as it was acknowledged\nshown: %s\nacknowledged: %s", text(object), text(r.object))
	}
	problem := ""
	switch {
	case object == nil && r.doubt.Verb == remove:
	case object == nil:
		problem = "is gone"
	case r.doubt.Verb == remove || opOf(object) != r.doubt.Op:
		problem = "is neither as before nor as after"
	case r.object != nil && uidOf(object) != uidOf(r.object):
		problem = "is another object"
	case revisionOf(object) <= revisionOf(r.object):
		problem = "is changed and has its resource version of before"
	}
	if problem == "" {
		return ""
	}
	return fmt.Sprintf("%s after an unanswered %s (%s)\nshown: %s\nacknowledged before: %s", problem, r.doubt.Verb, r.doubt.Op, text(object),
		text(r.object))
}

// strangers returns objects that no client has created.
func (j *journal) strangers(keys []key) (problems []string) {
	for _, k := range keys {
		if j.records[k] == nil {
			problems = append(problems, fmt.Sprintf("%s exists and no client created it", k))
		}
	}
	slices.Sort(problems)
	return problems
}

// settle records what a server shows of the objects in doubt.
func (j *journal) settle(t testing.TB, shown map[key]*unstructured.Unstructured) {
	t.Helper()
	for _, k := range j.keys() {
		if j.records[k].doubt != nil {
			j.append(t, entry{Event: observed, Key: k}, shown[k])
		}
	}
	j.replay(t)
}

func (j *journal) keys() []key {
	return slices.SortedFunc(maps.Keys(j.records), func(a, b key) int { return strings.Compare(a.String(), b.String()) })
}

// same ignores the API group of the objects.
func same(a, b map[string]any) bool {
	return equality.Semantic.DeepEqual(withoutGroup(a), withoutGroup(b))
}

func withoutGroup(object map[string]any) map[string]any {
	if object == nil {
		return nil
	}
	rest := maps.Clone(object)
	delete(rest, "apiVersion")
	return rest
}

func revisionOf(object map[string]any) int64 {
	text := field(object, "resourceVersion")
	if text == "" {
		return 0
	}
	revision, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return revision
}

func uidOf(object map[string]any) string { return field(object, "uid") }

func opOf(object map[string]any) string { return field(object, "labels", opLabel) }

// field returns a string of an object's metadata.
func field(object map[string]any, path ...string) string {
	// A field of another type counts as missing.
	text, _, _ := unstructured.NestedString(object, append([]string{"metadata"}, path...)...)
	return text
}

func text(object map[string]any) string {
	if object == nil {
		return "nothing"
	}
	encoded, err := json.Marshal(withoutGroup(object))
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}
