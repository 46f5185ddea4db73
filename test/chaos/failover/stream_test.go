package failover

import (
	"slices"
	"testing"
)

func TestStream(t *testing.T) {
	one, other := seenService{"1", "u", []string{"80"}}, seenService{"2", "v", []string{"81"}}
	gone := func(svc seenService) seenService { return seenService{uid: svc.uid} }
	is := func(v version, svc seenService, values ...string) seenService { return seenService{v, svc.uid, values} }
	for name, test := range map[string]struct {
		do    func(*stream)
		wrong []string
	}{
		"a life": {func(s *stream) {
			s.event(6, true, "a", one)
			s.event(7, false, "a", is("3", one, "80", "82"))
			s.event(9, false, "a", gone(one))
			s.event(10, true, "a", other)
		}, nil},
		"a value that was moved": {func(s *stream) {
			s.event(6, true, "a", one)
			s.event(7, false, "a", is("3", one, "82"))
			s.event(8, true, "b", is("2", other, "80"))
		}, nil},
		"a value held by two": {func(s *stream) {
			s.event(6, true, "a", one)
			s.event(7, true, "b", is("2", other, "80"))
		}, []string{"80 is held by a and by b at 7"}},
		"a value held by two in a list": {func(s *stream) {
			s.list(6, map[string]seenService{"a": one, "b": is("2", other, "80", "81")})
		}, []string{"80 is held by a and by b at 6"}},
		"a value that was released too late": {func(s *stream) {
			s.event(6, true, "a", one)
			s.event(7, true, "b", is("2", other, "80"))
			s.event(8, false, "a", gone(one))
		}, []string{"80 is held by a and by b at 7"}},
		"the same again": {func(s *stream) { s.event(5, true, "a", one) }, []string{"a at 5, after 5"}},
		"added twice": {func(s *stream) { s.event(6, true, "a", one); s.event(7, true, "a", one) },
			[]string{"a was added at 7 and was there"}},
		"changed and absent": {func(s *stream) { s.event(6, false, "a", one) }, []string{"a was changed or deleted at 6 and was not there"}},
		"another":            {func(s *stream) { s.event(6, true, "a", one); s.event(7, false, "a", other) }, []string{"a became another at 7"}},
		"an old list":        {func(s *stream) { s.list(4, nil) }, []string{"a list at 4, after 5"}},
		"a list after a gap": {func(s *stream) {
			s.event(6, true, "a", one)
			s.list(9, map[string]seenService{"b": other})
			s.event(10, true, "a", one)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stream{}
			s.list(5, nil)
			test.do(s)
			// Services in a list have no order.
			for i, wrong := range s.wrong {
				if wrong == "80 is held by b and by a at 6" {
					s.wrong[i] = "80 is held by a and by b at 6"
				}
			}
			if !slices.Equal(s.wrong, test.wrong) {
				t.Errorf("wrong are %q, want %q", s.wrong, test.wrong)
			}
		})
	}
}

// TestStreamIsWritten wants every event to be a write, and none to be missing.
func TestStreamIsWritten(t *testing.T) {
	h := historyOf(create("a", "1", done), replace("a", "1", "2", done), replace("a", "2", "3", conflict), remove("a", "2", unknown))
	for name, test := range map[string]struct {
		steps, unwritten []change
	}{
		"all":           {[]change{{"a", "", "1"}, {"a", "1", "2"}, {"a", "2", ""}}, nil},
		"one left out":  {[]change{{"a", "", "1"}, {"a", "1", ""}}, []change{{"a", "1", ""}}},
		"one refused":   {[]change{{"a", "2", "3"}}, []change{{"a", "2", "3"}}},
		"one made up":   {[]change{{"b", "", "1"}}, []change{{"b", "", "1"}}},
		"another order": {[]change{{"a", "", "2"}, {"a", "2", "1"}}, []change{{"a", "", "2"}, {"a", "2", "1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&stream{steps: test.steps}).unwritten(h); !slices.Equal(got, test.unwritten) {
				t.Errorf("unwritten are %v, want %v", got, test.unwritten)
			}
		})
	}
}
