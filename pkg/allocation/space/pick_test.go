package space

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func testRandom(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestPickFillsRangeInOrder is upstream's observable order:
// the dynamic part to the last number, then the static band, then nothing.
func TestPickFillsRangeInOrder(t *testing.T) {
	ports, err := PortSpans([]string{"30000-30099"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, spans := range map[string][]Span{
		"IPv4 /24":          {PrefixSpan(netip.MustParsePrefix("10.96.0.0/24"))},
		"IPv4 /28":          {PrefixSpan(netip.MustParsePrefix("10.96.0.0/28"))},
		"IPv4 /31":          {PrefixSpan(netip.MustParsePrefix("10.96.0.0/31"))},
		"IPv6 /128":         {PrefixSpan(netip.MustParsePrefix("fd00::1/128"))},
		"IPv6 /112":         {PrefixSpan(netip.MustParsePrefix("fd00::/112"))},
		"ports":             ports,
		"only static":       {{Number{0, 1}, Number{0, 9}, 9}},
		"an empty one too":  {emptySpan, PrefixSpan(netip.MustParsePrefix("10.96.0.0/24"))},
		"two, one overlaps": {PrefixSpan(netip.MustParsePrefix("10.96.0.0/24")), PrefixSpan(netip.MustParsePrefix("10.96.0.0/23")), ports[0]},
	} {
		t.Run(name, func(t *testing.T) {
			random := testRandom(t)
			numbers, dynamic := model{}, model{}
			for _, span := range spans {
				for n := span.First; span.Contains(n); n = n.next() {
					numbers[n] = true
					if span.dynamicPart().Contains(n) {
						dynamic[n] = true
					}
				}
			}
			s := NewSpace()
			for i := range len(numbers) {
				n, ok := s.Pick(spans, random)
				if !ok {
					t.Fatalf("full after %d of %d", i, len(numbers))
				}
				if dynamic[n] != (i < len(dynamic)) {
					t.Fatalf("pick %d of %d dynamic ones: dynamic is %v", i, len(dynamic), dynamic[n])
				}
				if !numbers[n] || !s.Take(n) {
					t.Fatalf("pick %d: %v is outside or taken", i, n)
				}
			}
			if n, ok := s.Pick(spans, random); ok {
				t.Fatalf("all is taken, and yet picked %v", n)
			}
		})
	}
}

func TestPickOfNoSpans(t *testing.T) {
	random := testRandom(t)
	for _, spans := range [][]Span{nil, {}, {emptySpan}, {emptySpan, emptySpan}} {
		if n, ok := NewSpace().Pick(spans, random); ok {
			t.Errorf("Pick(%v) = %v", spans, n)
		}
	}
}

// TestPickOfLargeSpans has parts of more than 2^64 numbers, and finds the one
// free number in them.
func TestPickOfLargeSpans(t *testing.T) {
	random := testRandom(t)
	for _, prefix := range []string{"fd00::/64", "fd00::/63", "fd00::/48", "fd00::/32", "::/0"} {
		span := PrefixSpan(netip.MustParsePrefix(prefix))
		seen, upperHalf := model{}, 0
		for range 1000 {
			n, ok := NewSpace().Pick([]Span{span}, random)
			if !ok || !span.dynamicPart().Contains(n) || seen[n] {
				t.Fatalf("%s: picked %v, %v", prefix, n, ok)
			}
			seen[n] = true
			if middle := span.weight().minus(n.minus(span.First)); middle.less(n.minus(span.First)) {
				upperHalf++
			}
		}
		if upperHalf < 400 || upperHalf > 600 {
			t.Errorf("%s: %d of 1000 in the upper half", prefix, upperHalf)
		}

		hole := span.dynamicPart().First.plus(Number{lo: 12345})
		s := NewSpace()
		s.runs.ReplaceOrInsert(run{Number{}, hole.prev()})
		s.runs.ReplaceOrInsert(run{hole.next(), maxNumber})
		for range 20 {
			if n, ok := s.Pick([]Span{span}, random); !ok || n != hole {
				t.Fatalf("%s: picked %v, %v; only %v is free", prefix, n, ok, hole)
			}
		}
		s.Take(hole)
		if n, ok := s.Pick([]Span{span}, random); ok {
			t.Fatalf("%s: all is taken, and yet picked %v", prefix, n)
		}
	}
}

// TestPickIsUniform has bounds that a run exceeds by chance about once in 10^9 runs.
func TestPickIsUniform(t *testing.T) {
	random := testRandom(t)
	spans := []Span{
		{Number{0, 100}, Number{0, 149}, 25}, // 25 dynamic
		emptySpan,
		{Number{0, 1000}, Number{0, 1079}, 5}, // 75 dynamic
	}
	const perNumber = 1000
	counts := map[Number]int{}
	for range 100 * perNumber {
		n, _ := NewSpace().Pick(spans, random)
		counts[n]++
	}
	if len(counts) != 100 {
		t.Errorf("picked %d numbers, want 100", len(counts))
	}
	for n, count := range counts {
		if count < perNumber-220 || count > perNumber+220 {
			t.Errorf("picked %v %d times, want about %d", n, count, perNumber)
		}
	}
}
