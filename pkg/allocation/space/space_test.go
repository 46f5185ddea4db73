package space

import (
	"math"
	"math/rand/v2"
	"testing"
)

// model is the naive Space that the real one must agree with.
type model map[Number]bool

func (m model) countIn(span Span) (count uint64) {
	for n := range m {
		if span.Contains(n) {
			count++
		}
	}
	return count
}

// windowSize keeps the naive model's scans short and collisions frequent.
const windowSize = 64

// windows lie where arithmetic could go wrong: at both ends of all numbers,
// across the carry between the words, and in both families' places.
var windows = []Number{
	{},
	firstMapped.plus(Number{lo: 0x0a600000}),
	{0, math.MaxUint64 - windowSize/2},
	{0xfd << 56, 0},
	maxNumber.minus(Number{lo: windowSize - 1}),
}

func checkSpace(t *testing.T, s *Space, m model, window Number) {
	t.Helper()
	if s.Len() != len(m) {
		t.Fatalf("Len() = %d, want %d", s.Len(), len(m))
	}
	var before *run
	total := Number{}
	s.runs.Ascend(func(r run) bool {
		if r.last.less(r.first) {
			t.Fatalf("run %v is upside down", r)
		}
		if before != nil && !before.last.next().less(r.first) {
			t.Fatalf("runs %v and %v touch", *before, r)
		}
		before = &r
		total = total.plus(Span{First: r.first, Last: r.last}.weight())
		return true
	})
	if total != (Number{lo: uint64(len(m))}) {
		t.Fatalf("runs hold %v numbers, want %d", total, len(m))
	}
	for i := range uint64(windowSize) {
		n := window.plus(Number{lo: i})
		if s.Taken(n) != m[n] {
			t.Fatalf("Taken(%v) = %v", n, !m[n])
		}
	}
}

// checkPick checks one pick by the promises of Pick's comment and returns it.
func checkPick(t *testing.T, s *Space, m model, spans []Span, random *rand.Rand) (Number, bool) {
	t.Helper()
	freeDynamic, freeStatic := false, false
	for _, span := range spans {
		if span.empty() {
			continue
		}
		for n := span.First; ; n = n.next() {
			if !m[n] {
				if n.minus(span.First).less(Number{lo: span.Static}) {
					freeStatic = true
				} else {
					freeDynamic = true
				}
			}
			if n == span.Last {
				break
			}
		}
	}
	n, ok := s.Pick(spans, random)
	if ok != (freeDynamic || freeStatic) {
		t.Fatalf("Pick(%v) = %v, want %v", spans, ok, !ok)
	}
	if !ok {
		return n, ok
	}
	if m[n] {
		t.Fatalf("Pick(%v) = %v, which is taken", spans, n)
	}
	inSpans, inDynamic := false, false
	for _, span := range spans {
		inSpans = inSpans || span.Contains(n)
		inDynamic = inDynamic || span.dynamicPart().Contains(n)
	}
	if !inSpans {
		t.Fatalf("Pick(%v) = %v, which is outside", spans, n)
	}
	if freeDynamic != inDynamic {
		t.Fatalf("Pick(%v) = %v: dynamic %v, though dynamic ones are free: %v", spans, n, inDynamic, freeDynamic)
	}
	return n, ok
}

func randomSpan(window Number, random *rand.Rand) Span {
	first := random.Uint64N(windowSize)
	last := first + random.Uint64N(windowSize-first)
	return Span{window.plus(Number{lo: first}), window.plus(Number{lo: last}), random.Uint64N(windowSize)}
}

func TestSpaceAgainstModel(t *testing.T) {
	for range 300 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		window := windows[random.IntN(len(windows))]
		s, m := NewSpace(), model{}
		t.Logf("seed %d", seed)
		for range 400 {
			n := window.plus(Number{lo: random.Uint64N(windowSize)})
			switch random.IntN(8) {
			case 0, 1, 2:
				if got := s.Take(n); got == m[n] {
					t.Fatalf("seed %d: Take(%v) = %v", seed, n, got)
				}
				m[n] = true
			case 3, 4:
				if got := s.Release(n); got != m[n] {
					t.Fatalf("seed %d: Release(%v) = %v", seed, n, got)
				}
				delete(m, n)
			case 5:
				span := randomSpan(window, random)
				if got, want := s.CountIn(span), m.countIn(span); got != want {
					t.Fatalf("seed %d: CountIn(%v) = %d, want %d", seed, span, got, want)
				}
			default:
				spans := make([]Span, random.IntN(4))
				for i := range spans {
					spans[i] = randomSpan(window, random)
				}
				if n, ok := checkPick(t, s, m, spans, random); ok {
					s.Take(n)
					m[n] = true
				}
			}
			checkSpace(t, s, m, window)
		}
	}
}

func TestSpaceOfNothing(t *testing.T) {
	s := NewSpace()
	all := Span{Last: maxNumber}
	if s.Release(Number{}) || s.Taken(Number{}) || s.Len() != 0 || s.CountIn(all) != 0 {
		t.Error("a new Space is not empty")
	}
	if s.CountIn(Span{First: maxNumber}) != 0 {
		t.Error("an empty span has something in it")
	}
}

func TestCountInSaturates(t *testing.T) {
	s := NewSpace()
	s.runs.ReplaceOrInsert(run{Number{0, 7}, Number{3, 0}})
	s.runs.ReplaceOrInsert(run{Number{4, 0}, maxNumber})
	for _, test := range []struct {
		span Span
		want uint64
	}{
		{Span{Last: maxNumber}, math.MaxUint64},
		{Span{First: Number{1, 0}, Last: Number{1, 4}}, 5},
		{Span{First: Number{3, 0}, Last: Number{4, 0}}, 2},
		{Span{First: Number{3, 1}, Last: Number{3, 9}}, 0},
	} {
		if got := s.CountIn(test.span); got != test.want {
			t.Errorf("CountIn(%v) = %d, want %d", test.span, got, test.want)
		}
	}
}

func FuzzSpace(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 2, 1, 1, 3, 9, 200})
	f.Add([]byte{2, 30, 31, 32, 33, 34, 35, 64 + 32, 128 + 5, 192 + 9})
	f.Add([]byte{4, 63, 62, 61, 64 + 63, 64 + 62, 128, 129, 130, 192 + 63})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) < 2 || len(ops) > 256 {
			return
		}
		window := windows[int(ops[0])%len(windows)]
		s, m := NewSpace(), model{}
		for i, op := range ops[1:] {
			// The two highest bits say what to do, the others to which number.
			n := window.plus(Number{lo: uint64(op % windowSize)})
			random := rand.New(rand.NewPCG(uint64(i), uint64(op)))
			switch op / windowSize {
			case 0:
				if s.Take(n) == m[n] {
					t.Fatalf("Take(%v) = %v", n, !m[n])
				}
				m[n] = true
			case 1:
				if s.Release(n) != m[n] {
					t.Fatalf("Release(%v) = %v", n, !m[n])
				}
				delete(m, n)
			case 2:
				end := window.plus(Number{lo: windowSize - 1})
				spans := []Span{{n, end, uint64(op % 16)}, {window, n, uint64(i % 16)}}
				if picked, ok := checkPick(t, s, m, spans[:1+i%2], random); ok {
					s.Take(picked)
					m[picked] = true
				}
			default:
				span := Span{First: n, Last: window.plus(Number{lo: uint64(ops[0] % windowSize)})}
				if got, want := s.CountIn(span), m.countIn(span); got != want {
					t.Fatalf("CountIn(%v) = %d, want %d", span, got, want)
				}
			}
			checkSpace(t, s, m, window)
		}
	})
}
