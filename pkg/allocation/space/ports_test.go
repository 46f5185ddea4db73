package space

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func band(n int32) *int32 { return &n }

func TestPortSpans(t *testing.T) {
	span := func(first, last int32, static uint64) Span {
		return Span{FromPort(first), FromPort(last), static}
	}
	for _, test := range []struct {
		ports  []string
		static *int32
		want   []Span
	}{
		{[]string{"30000-32767"}, nil, []Span{span(30000, 32767, 86)}},
		{[]string{"30000-30099"}, nil, []Span{span(30000, 30099, 16)}},
		{[]string{"30000-30019"}, nil, []Span{span(30000, 30019, 16)}},
		{[]string{"30000-30016"}, nil, []Span{span(30000, 30016, 16)}},
		{[]string{"30000-30015"}, nil, []Span{span(30000, 30015, 0)}},
		{[]string{"30000-34095"}, nil, []Span{span(30000, 34095, 128)}},
		{[]string{"1-65535"}, nil, []Span{span(1, 65535, 128)}},
		{[]string{"443"}, nil, []Span{span(443, 443, 0)}},
		{[]string{"443-443"}, nil, []Span{span(443, 443, 0)}},
		{[]string{"30000-30099", "443", "80"}, nil, []Span{span(30000, 30099, 16), span(443, 443, 0), span(80, 80, 0)}},
		{[]string{"80-81", "82", "78-79"}, nil, []Span{span(80, 81, 0), span(82, 82, 0), span(78, 79, 0)}},
		{[]string{"30000-32767"}, band(0), []Span{span(30000, 32767, 0)}},
		{[]string{"30000-32767"}, band(500), []Span{span(30000, 32767, 500)}},
		{[]string{"30000-30009", "443"}, band(10), []Span{span(30000, 30009, 10), span(443, 443, 1)}},
		{[]string{"30000-30009"}, band(1<<31 - 1), []Span{span(30000, 30009, 10)}},
	} {
		got, err := PortSpans(test.ports, test.static)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("PortSpans(%q) = %v, %v; want %v", test.ports, got, err, test.want)
		}
	}
}

func TestPortSpansRefuses(t *testing.T) {
	const form = `must be a port, such as "443", or a range of ports, such as "30000-32767"`
	for _, test := range []struct {
		ports  []string
		static *int32
		want   string
	}{
		{nil, nil, `at least one port or range of ports is required`},
		{[]string{}, nil, `at least one port or range of ports is required`},
		{[]string{""}, nil, `ports "": ` + form},
		{[]string{"80", "http"}, nil, `ports "http": ` + form},
		{[]string{"-"}, nil, `ports "-": ` + form},
		{[]string{"80-"}, nil, `ports "80-": ` + form},
		{[]string{"-80"}, nil, `ports "-80": ` + form},
		{[]string{"80-90-95"}, nil, `ports "80-90-95": ` + form},
		{[]string{"80 - 90"}, nil, `ports "80 - 90": ` + form},
		{[]string{" 80"}, nil, `ports " 80": ` + form},
		{[]string{"+80"}, nil, `ports "+80": ` + form},
		{[]string{"8_0"}, nil, `ports "8_0": ` + form},
		{[]string{"0x50"}, nil, `ports "0x50": ` + form},
		{[]string{"٨٠"}, nil, `ports "٨٠": ` + form},
		{[]string{"80,90"}, nil, `ports "80,90": ` + form},
		{[]string{"080"}, nil, `ports "080": must not have leading zeros`},
		{[]string{"0"}, nil, `ports "0": must be between 1 and 65535, inclusive`},
		{[]string{"0-80"}, nil, `ports "0-80": must be between 1 and 65535, inclusive`},
		{[]string{"65536"}, nil, `ports "65536": must be between 1 and 65535, inclusive`},
		{[]string{"1-99999999999999999999"}, nil, `ports "1-99999999999999999999": must be between 1 and 65535, inclusive`},
		{[]string{"90-80"}, nil, `ports "90-80": the first port must not be above the last`},
		{[]string{"80", "80"}, nil, `ports "80": overlap "80"`},
		{[]string{"80-90", "443", "90-100"}, nil, `ports "90-100": overlap "80-90"`},
		{[]string{"85", "80-90"}, nil, `ports "80-90": overlap "85"`},
		{[]string{"80"}, band(-1), `static band -1: must not be negative`},
	} {
		spans, err := PortSpans(test.ports, test.static)
		if err == nil || err.Error() != test.want || spans != nil {
			t.Errorf("PortSpans(%q) = %v, %v; want %s", test.ports, spans, err, test.want)
		}
	}
}

func FuzzPortSpans(f *testing.F) {
	for _, seed := range []string{"443", "30000-32767", "1-65535", "80,81-90", "80-90,85", "0", "9-8", "080", "-", "", "1-2-3",
		"99999999999999999999"} {
		f.Add(seed, false, int32(0))
		f.Add(seed, true, int32(7))
	}
	form := regexp.MustCompile(`^[1-9][0-9]*(-[1-9][0-9]*)?$`)
	f.Fuzz(func(t *testing.T, joined string, hasBand bool, bandSize int32) {
		ports := strings.Split(joined, ",")
		var staticBand *int32
		if hasBand {
			staticBand = &bandSize
		}
		spans, err := PortSpans(ports, staticBand)

		valid := !hasBand || bandSize >= 0
		owner := map[int]int{}
		for i, entry := range ports {
			if !form.MatchString(entry) {
				valid = false
				break
			}
			low, high, isRange := strings.Cut(entry, "-")
			if !isRange {
				high = low
			}
			first, err1 := strconv.Atoi(low)
			last, err2 := strconv.Atoi(high)
			if err1 != nil || err2 != nil || last > 65535 || first > last {
				valid = false
				break
			}
			for port := first; port <= last; port++ {
				if _, twice := owner[port]; twice {
					valid = false
				}
				owner[port] = i
			}
		}
		if (err == nil) != valid {
			t.Fatalf("PortSpans(%q, %v): error %v, want valid %v", ports, staticBand, err, valid)
		}
		if err != nil {
			return
		}
		if len(spans) != len(ports) {
			t.Fatalf("%d spans of %d entries", len(spans), len(ports))
		}
		for port := -1; port <= 65536; port++ {
			for i, span := range spans {
				want, has := owner[port]
				if span.Contains(FromPort(int32(port))) != (has && want == i) {
					t.Fatalf("span %d of %q: wrong about %d", i, ports, port)
				}
			}
			if len(spans) > 8 {
				port += 97
			}
		}
		for i, span := range spans {
			if span.Static > span.Size() {
				t.Fatalf("%q: band of %d in %d", ports[i], span.Static, span.Size())
			}
			if hasBand && span.Static != min(uint64(bandSize), span.Size()) {
				t.Fatalf("%q: band of %d, asked for %d", ports[i], span.Static, bandSize)
			}
		}
	})
}
