package space

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestWithout compares every number of small spans with what is left of them.
func TestWithout(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	span := func() Span {
		first := random.Int32N(30)
		return Span{First: FromPort(first), Last: FromPort(first + random.Int32N(12) - 1), Static: random.Uint64N(8)}
	}
	for range 20_000 {
		s := span()
		others := make([]Span, random.IntN(4))
		for i := range others {
			others[i] = span()
		}
		parts := s.Without(others)
		for port := range int32(50) {
			n := FromPort(port)
			has := func(in Span) bool { return in.Contains(n) }
			want := s.Contains(n) && !slices.ContainsFunc(others, has)
			if got := slices.ContainsFunc(parts, has); got != want {
				t.Fatalf("%v without %v is %v: has %d: %v, want %v", s, others, parts, port, got, want)
			}
			for _, part := range parts {
				if want && has(part) && part.staticPart().Contains(n) != s.staticPart().Contains(n) {
					t.Fatalf("%v without %v is %v: %d is in another band", s, others, parts, port)
				}
			}
		}
		for i, part := range parts {
			if part.empty() || i > 0 && !parts[i-1].Last.less(part.First) {
				t.Fatalf("%v without %v is %v", s, others, parts)
			}
		}
	}
	whole := Span{Last: maxNumber}
	if parts := whole.Without([]Span{{First: FromPort(5), Last: maxNumber}}); len(parts) != 1 || parts[0].Last != FromPort(4) {
		t.Errorf("got %v", parts)
	}
	if parts := whole.Without([]Span{{Last: FromPort(5)}}); len(parts) != 1 || parts[0].First != FromPort(6) || parts[0].Last != maxNumber {
		t.Errorf("got %v", parts)
	}
}
