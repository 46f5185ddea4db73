package failover

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// historyOf returns a history of requests that last from their number to the
// next, unless they have times.
func historyOf(requests ...request) *history {
	h := newHistory()
	for i, r := range requests {
		if r.call == 0 && r.answer == 0 {
			r.call, r.answer = time.Duration(10*i+1), time.Duration(10*i+9)
		}
		h.requests = append(h.requests, r)
	}
	return h
}

func (h *history) knows(v version, uid string, first time.Duration, values ...string) *history {
	h.seen[v] = sighting{uid: uid, values: values, first: first}
	return h
}

func create(name string, to version, r result) request {
	return request{name: name, write: true, to: to, result: r}
}

func replace(name string, from, to version, r result) request {
	return request{name: name, write: true, from: from, to: to, result: r}
}

func remove(name string, from version, r result) request { return replace(name, from, "", r) }

func read(name string, found version) request { return request{name: name, found: found} }

func claim(value, holder string) request { return request{value: value, holder: holder} }

func during(r request, call, answer time.Duration) request {
	r.call, r.answer = call, answer
	return r
}

func refusal(r request, values ...string) request {
	r.result, r.taken = taken, values
	return r
}

// TestCheck wants the checker to find each violation, and nothing else.
func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		history *history
		// wrong are the names and values without an order.
		wrong []string
	}{
		"a life": {historyOf(create("a", "1", done), read("a", "1"), replace("a", "1", "2", done), read("a", "2"), remove("a", "2", done),
			read("a", "")).
			knows("1", "u", 9, "80").knows("2", "u", 29, "81"), nil},
		"created twice":         {historyOf(create("a", "1", done), create("a", "2", done)), []string{"name a"}},
		"exists too early":      {historyOf(create("a", "1", exists)), []string{"name a"}},
		"exists after deletion": {historyOf(create("a", "1", done), remove("a", "1", done), create("a", "2", exists)), []string{"name a"}},
		"a stale read":          {historyOf(create("a", "1", done), replace("a", "1", "2", done), read("a", "1")), []string{"name a"}},
		"a read during a write": {historyOf(create("a", "1", done), during(replace("a", "1", "2", done), 11, 40), read("a", "1")), nil},
		"reads that go back": {historyOf(create("a", "1", done), during(replace("a", "1", "2", done), 11, 90), during(read("a", "2"), 20, 29),
			during(read("a", "1"), 30, 39)), []string{"name a"}},
		"a lost write": {historyOf(create("a", "1", done), read("a", "")), []string{"name a"}},
		"a lost update": {
			historyOf(create("a", "1", done), replace("a", "1", "2", done), replace("a", "1", "3", done)), []string{"name a"},
		},
		"conflict with what it knew": {historyOf(create("a", "1", done), replace("a", "1", "2", conflict)), []string{"name a"}},
		"conflict":                   {historyOf(create("a", "1", done), replace("a", "1", "2", done), replace("a", "1", "3", conflict)), nil},
		"absent and there":           {historyOf(create("a", "1", done), remove("a", "1", absent)), []string{"name a"}},
		"an error that wrote":        {historyOf(create("a", "1", unknown), read("a", "1"), read("a", "1")).knows("1", "u", 19), nil},
		"an error that wrote after it was seen not to": {
			historyOf(create("a", "1", unknown), read("a", ""), read("a", "1")).knows("1", "u", 29), nil,
		},
		"an error that wrote and was seen to go": {historyOf(create("a", "1", unknown), read("a", "1"), read("a", "")).
			knows("1", "u", 19), []string{"name a"}},
		"an error that didn't write":     {historyOf(create("a", "1", unknown), read("a", ""), create("a", "2", done)), nil},
		"a delete in doubt that was not": {historyOf(create("a", "1", done), remove("a", "1", unknown), read("a", "1")), nil},
		"a delete in doubt that was":     {historyOf(create("a", "1", done), remove("a", "1", unknown), read("a", "1"), read("a", "")), nil},
		"a delete in doubt that was undone": {
			historyOf(create("a", "1", done), remove("a", "1", unknown), read("a", ""), read("a", "1")), []string{"name a"},
		},

		"a value held by two": {
			historyOf(create("a", "1", done), create("b", "2", done)).knows("1", "u", 9, "80").knows("2", "v", 19, "80"), []string{"value 80"},
		},
		"a value that was moved": {historyOf(create("a", "1", done), replace("a", "1", "2", done), create("b", "3", done)).
			knows("1", "u", 9, "80").knows("2", "u", 19, "81").knows("3", "v", 29, "80"), nil},
		"a value that was not moved": {historyOf(create("a", "1", done), replace("a", "1", "2", done), create("b", "3", done)).
			knows("1", "u", 9, "80").knows("2", "u", 19, "80").knows("3", "v", 29, "80"), []string{"value 80"}},
		"a value in use":           {historyOf(create("a", "1", done), refusal(create("b", "2", taken), "80")).knows("1", "u", 9, "80"), nil},
		"a value refused and free": {historyOf(refusal(create("b", "2", taken), "80")), []string{"value 80"}},
		"a value lost": {historyOf(create("a", "1", done), remove("a", "1", done), refusal(create("b", "2", taken), "80")).
			knows("1", "u", 9, "80"), []string{"value 80"}},
		"a value refused to who has it": {historyOf(create("a", "1", done), refusal(replace("a", "1", "2", taken), "80")).
			knows("1", "u", 9, "80"), []string{"value 80"}},
		"a value of a delete in doubt": {historyOf(create("a", "1", done), remove("a", "1", unknown), create("b", "2", done)).
			knows("1", "u", 9, "80").knows("2", "v", 29, "80"), nil},
		"a value of a create in doubt": {historyOf(create("a", "1", unknown), create("b", "2", done)).
			knows("1", "u", 30, "80").knows("2", "v", 19, "80"), []string{"value 80"}},
		"half a write": {historyOf(create("a", "1", unknown), refusal(create("b", "2", taken), "80")), []string{"value 80"}},
		"a claim": {historyOf(claim("80", ""), create("a", "1", done), claim("80", "u"), remove("a", "1", done), claim("80", "")).
			knows("1", "u", 19, "80"), nil},
		"a claim of nobody": {historyOf(claim("80", "u")), []string{"value 80"}},
		"no claim":          {historyOf(create("a", "1", done), claim("80", "")).knows("1", "u", 9, "80"), []string{"value 80"}},
	} {
		t.Run(name, func(t *testing.T) {
			violations, count := test.history.check()
			var wrong []string
			for _, violation := range violations {
				subject, _, _ := strings.Cut(strings.TrimPrefix(violation, "the "), ":")
				wrong = append(wrong, subject)
			}
			if !slices.Equal(wrong, test.wrong) {
				t.Errorf("wrong are %q, want %q:\n%s", wrong, test.wrong, strings.Join(violations, "\n"))
			}
			if count == 0 {
				t.Error("nothing was checked")
			}
		})
	}
}
