package space

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// fill takes about percent of the span's numbers at random. It writes the runs directly, so
// that the setup of a million claims is fast.
func fill(s *Space, span Span, percent int, random *rand.Rand) {
	if percent == 100 {
		s.runs.ReplaceOrInsert(run{span.First, span.Last})
		s.taken += int(span.Size())
		return
	}
	var open *run
	flush := func() {
		if open != nil {
			s.runs.ReplaceOrInsert(*open)
			s.taken += int(Span{First: open.first, Last: open.last}.Size())
			open = nil
		}
	}
	for n := span.First; span.Contains(n); n = n.next() {
		switch {
		case random.IntN(100) >= percent:
			flush()
		case open == nil:
			open = &run{n, n}
		default:
			open.last = n
		}
	}
	flush()
}

func scatter(s *Space, span Span, count int, random *rand.Rand) []Number {
	numbers := make([]Number, 0, count)
	for len(numbers) < count {
		n := span.First.plus(randomBelow(span.weight(), random))
		if s.Take(n) {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func BenchmarkPick(b *testing.B) {
	bench := func(name string, spans []Span, setUp func(*Space, *rand.Rand)) {
		b.Run(name, func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2))
			s := NewSpace()
			setUp(s, random)
			b.ReportAllocs()
			for b.Loop() {
				s.Pick(spans, random)
			}
			b.ReportMetric(float64(s.Len()), "claims")
			b.ReportMetric(float64(s.runs.Len()), "runs")
		})
	}
	for _, prefix := range []string{"10.96.0.0/12", "10.96.0.0/20", "fd00::/112"} {
		span := PrefixSpan(netip.MustParsePrefix(prefix))
		for _, percent := range []int{0, 50, 99, 100} {
			bench(fmt.Sprintf("%s/%d%%", prefix, percent), []Span{span}, func(s *Space, random *rand.Rand) {
				fill(s, span, percent, random)
			})
		}
	}
	wide := PrefixSpan(netip.MustParsePrefix("fd00::/64"))
	for _, count := range []int{0, 1_000_000} {
		bench(fmt.Sprintf("fd00::/64/%d", count), []Span{wide}, func(s *Space, random *rand.Rand) {
			scatter(s, wide, count, random)
		})
	}
}

// BenchmarkTakeRelease takes and releases numbers beside those that stay taken, so that the
// fill stays the same.
func BenchmarkTakeRelease(b *testing.B) {
	for _, prefix := range []string{"10.96.0.0/20", "10.96.0.0/12", "fd00::/64"} {
		span := PrefixSpan(netip.MustParsePrefix(prefix))
		count := int(min(span.Size()/2, 1_000_000))
		random := rand.New(rand.NewPCG(1, 2))
		s := NewSpace()
		scatter(s, span, count, random)
		numbers := make([]Number, 1<<16)
		for i := range numbers {
			numbers[i], _ = s.Pick([]Span{span}, random)
		}
		b.Run(fmt.Sprintf("%s/%d", prefix, count), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n := numbers[i%len(numbers)]
				s.Take(n)
				s.Release(n)
			}
		})
	}
}

// BenchmarkPickTakeRelease measures a steady stream of Services: each takes its pick, and
// the oldest is deleted.
func BenchmarkPickTakeRelease(b *testing.B) {
	for _, prefix := range []string{"10.96.0.0/12", "fd00::/64"} {
		span := PrefixSpan(netip.MustParsePrefix(prefix))
		spans := []Span{span}
		count := int(min(span.Size()*99/100, 1_000_000))
		random := rand.New(rand.NewPCG(1, 2))
		s := NewSpace()
		numbers := scatter(s, span, count, random)
		b.Run(fmt.Sprintf("%s/%d", prefix, count), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n, _ := s.Pick(spans, random)
				s.Take(n)
				s.Release(numbers[i%count])
				numbers[i%count] = n
			}
		})
	}
}
