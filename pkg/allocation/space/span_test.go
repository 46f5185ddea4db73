package space

import (
	"math"
	"math/big"
	"net/netip"
	"testing"
)

func TestPrefixSpan(t *testing.T) {
	for _, test := range []struct {
		prefix, first, last string
		size, static        uint64
	}{
		{"10.96.0.0/12", "10.96.0.1", "10.111.255.254", 1<<20 - 2, 256},
		{"10.96.0.0/16", "10.96.0.1", "10.96.255.254", 1<<16 - 2, 256},
		{"10.96.0.0/20", "10.96.0.1", "10.96.15.254", 1<<12 - 2, 256},
		{"10.96.0.0/21", "10.96.0.1", "10.96.7.254", 1<<11 - 2, 128},
		{"10.96.0.0/23", "10.96.0.1", "10.96.1.254", 510, 32},
		{"10.96.0.0/24", "10.96.0.1", "10.96.0.254", 254, 16},
		{"10.96.0.0/27", "10.96.0.1", "10.96.0.30", 30, 16},
		{"10.96.0.0/28", "10.96.0.1", "10.96.0.14", 14, 0},
		{"10.96.0.0/30", "10.96.0.1", "10.96.0.2", 2, 0},
		{"10.96.0.0/31", "10.96.0.0", "10.96.0.1", 2, 0},
		{"10.96.0.7/32", "10.96.0.7", "10.96.0.7", 1, 0},
		{"10.96.0.77/24", "10.96.0.1", "10.96.0.254", 254, 16},
		{"0.0.0.0/0", "0.0.0.1", "255.255.255.254", 1<<32 - 2, 256},
		{"255.255.255.255/32", "255.255.255.255", "255.255.255.255", 1, 0},
		{"::ffff:10.96.0.0/120", "10.96.0.1", "10.96.0.254", 254, 16},
		{"::ffff:0.0.0.0/96", "0.0.0.1", "255.255.255.254", 1<<32 - 2, 256},

		{"fd00::/112", "fd00::1", "fd00::ffff", 1<<16 - 1, 256},
		{"fd00::/120", "fd00::1", "fd00::ff", 255, 16},
		{"fd00::/124", "fd00::1", "fd00::f", 15, 0},
		{"fd00::/126", "fd00::1", "fd00::3", 3, 0},
		{"fd00::/127", "fd00::", "fd00::1", 2, 0},
		{"fd00::5/128", "fd00::5", "fd00::5", 1, 0},
		{"fd00::/65", "fd00::1", "fd00::7fff:ffff:ffff:ffff", 1<<63 - 1, 256},
		{"fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff", math.MaxUint64, 256},
		{"fd00::/63", "fd00::1", "fd00::1:ffff:ffff:ffff:ffff", math.MaxUint64, 256},
		{"fd00::/48", "fd00::1", "fd00::ffff:ffff:ffff:ffff:ffff", math.MaxUint64, 256},
		{"fd00::/32", "fd00::1", "fd00:0:ffff:ffff:ffff:ffff:ffff:ffff", math.MaxUint64, 256},
		{"::1/128", "::1", "::1", 1, 0},

		{"::/0", "::1:0:0:0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", math.MaxUint64, 256},
		{"::/64", "::1:0:0:0", "::ffff:ffff:ffff:ffff", math.MaxUint64 - 1<<48 + 1, 256},
		{"::/80", "::1", "::fffe:ffff:ffff", 1<<48 - 1<<32 - 1, 256},
		{"::fffe:0:0/95", "::fffe:0:1", "::fffe:ffff:ffff", 1<<32 - 1, 256},
	} {
		span := PrefixSpan(netip.MustParsePrefix(test.prefix))
		if got := span.First.Addr().String(); got != test.first {
			t.Errorf("%s: first is %s, want %s", test.prefix, got, test.first)
		}
		if got := span.Last.Addr().String(); got != test.last {
			t.Errorf("%s: last is %s, want %s", test.prefix, got, test.last)
		}
		if span.Size() != test.size || span.Static != test.static {
			t.Errorf("%s: %d numbers, %d static, want %d and %d", test.prefix, span.Size(), span.Static, test.size, test.static)
		}
	}
	if span := PrefixSpan(netip.Prefix{}); span.Size() != 0 || span.Contains(Number{}) {
		t.Errorf("the zero Prefix has %d numbers", span.Size())
	}
}

func TestSpanParts(t *testing.T) {
	all := Span{First: Number{}, Last: maxNumber}
	for name, test := range map[string]struct {
		span            Span
		static, dynamic Number
	}{
		"no band":              {Span{Number{0, 5}, Number{0, 9}, 0}, Number{}, Number{0, 5}},
		"a band":               {Span{Number{0, 5}, Number{0, 9}, 2}, Number{0, 2}, Number{0, 3}},
		"only a band":          {Span{Number{0, 5}, Number{0, 9}, 5}, Number{0, 5}, Number{}},
		"too large a band":     {Span{Number{0, 5}, Number{0, 9}, math.MaxUint64}, Number{0, 5}, Number{}},
		"band at the end":      {Span{maxNumber.prev(), maxNumber, math.MaxUint64}, Number{0, 2}, Number{}},
		"empty":                {Span{Number{0, 5}, Number{0, 4}, 3}, Number{}, Number{}},
		"more than 64 bits":    {Span{Number{}, Number{4, 0}, math.MaxUint64}, Number{0, math.MaxUint64}, Number{3, 2}},
		"all numbers":          {all, Number{}, maxNumber},
		"all, and a band":      {Span{Number{}, maxNumber, 7}, Number{0, 7}, maxNumber.minus(Number{0, 6})},
		"a whole word, band 1": {Span{Number{}, Number{0, math.MaxUint64}, 1}, Number{0, 1}, Number{0, math.MaxUint64}},
	} {
		if got := test.span.staticPart().weight(); got != test.static {
			t.Errorf("%s: static part has %v numbers, want %v", name, got, test.static)
		}
		if got := test.span.dynamicPart().weight(); got != test.dynamic {
			t.Errorf("%s: dynamic part has %v numbers, want %v", name, got, test.dynamic)
		}
	}
}

func FuzzPrefixSpan(f *testing.F) {
	for _, seed := range []string{"10.96.0.0/12", "10.96.0.1/31", "fd00::/112", "fd00::/48", "::/0", "::/80", "::ffff:10.0.0.0/104"} {
		prefix := netip.MustParsePrefix(seed)
		f.Add(prefix.Addr().AsSlice(), prefix.Bits())
	}
	f.Fuzz(func(t *testing.T, bytes []byte, bits int) {
		addr, ok := netip.AddrFromSlice(bytes)
		if !ok {
			return
		}
		if got := FromAddr(addr).Addr(); got != addr.Unmap() {
			t.Fatalf("FromAddr(%s).Addr() = %s", addr, got)
		}
		if got := FromAddr(addr.WithZone("eth0")).Addr(); got != addr.Unmap() {
			t.Fatalf("FromAddr(%s%%eth0).Addr() = %s", addr, got)
		}
		prefix := netip.PrefixFrom(addr, bits)
		span := PrefixSpan(prefix)
		if !prefix.IsValid() {
			if span.Size() != 0 {
				t.Fatalf("invalid prefix has %d numbers", span.Size())
			}
			return
		}
		checkPrefixSpan(t, prefix, span)
	})
}

// checkPrefixSpan repeats the arithmetic of PrefixSpan with big integers.
func checkPrefixSpan(t *testing.T, prefix netip.Prefix, span Span) {
	t.Helper()
	prefix = prefix.Masked()
	hostBits := prefix.Addr().BitLen() - prefix.Bits()
	isIPv4 := prefix.Addr().Is4() || prefix.Addr().Is4In6() && hostBits <= 32

	size := new(big.Int).Lsh(big.NewInt(1), uint(hostBits))
	static := new(big.Int).Rsh(size, 4)
	if static.Cmp(big.NewInt(16)) < 0 {
		static.SetInt64(16)
	}
	if static.Cmp(big.NewInt(256)) > 0 {
		static.SetInt64(256)
	}
	if size.Cmp(big.NewInt(16)) <= 0 {
		static.SetInt64(0)
	}
	if span.Static != static.Uint64() {
		t.Fatalf("%s: static band of %d, want %s", prefix, span.Static, static)
	}

	first, last := span.First.Addr(), span.Last.Addr()
	for _, end := range []netip.Addr{first, last} {
		if end.Is4() != isIPv4 {
			t.Fatalf("%s: %s is of the other family", prefix, end)
		}
		if prefix.Addr().Is4() == isIPv4 && !prefix.Contains(end) {
			t.Fatalf("%s: %s is outside", prefix, end)
		}
	}
	if !isIPv4 && span.Contains(firstMapped) {
		t.Fatalf("%s: covers the IPv4-mapped block", prefix)
	}

	left := new(big.Int).Set(size)
	if hostBits > 1 {
		left.Sub(left, big.NewInt(1))
		if isIPv4 {
			left.Sub(left, big.NewInt(1))
		}
	}
	if !isIPv4 && prefix.Overlaps(netip.MustParsePrefix("::ffff:0:0/96")) {
		// The IPv4-mapped block and the smaller side of it are cut off.
		if span.Size() == 0 || bigOf(span.weight()).Cmp(left) >= 0 {
			t.Fatalf("%s: %v numbers, %s without the cut", prefix, span.weight(), left)
		}
		return
	}
	if hostBits < 128 && bigOf(span.weight()).Cmp(left) != 0 {
		t.Fatalf("%s: %v numbers, want %s", prefix, span.weight(), left)
	}
	want := uint64(math.MaxUint64)
	if left.IsUint64() {
		want = left.Uint64()
	}
	if span.Size() != want {
		t.Fatalf("%s: size %d, want %d", prefix, span.Size(), want)
	}
}

func bigOf(n Number) *big.Int {
	b := new(big.Int).SetUint64(n.hi)
	return b.Lsh(b, 64).Or(b, new(big.Int).SetUint64(n.lo))
}

func TestOverlaps(t *testing.T) {
	span := func(prefix string) Span { return PrefixSpan(netip.MustParsePrefix(prefix)) }
	for _, test := range []struct {
		a, b Span
		want bool
	}{
		{span("10.0.0.0/24"), span("10.0.0.128/25"), true},
		{span("10.0.0.0/24"), span("10.0.0.0/24"), true},
		{span("10.0.0.0/24"), span("10.0.1.0/24"), false},
		{span("10.0.0.7/32"), span("10.0.0.0/29"), false},
		{span("10.0.0.6/32"), span("10.0.0.0/29"), true},
		{span("10.0.0.0/24"), emptySpan, false},
		{emptySpan, emptySpan, false},
	} {
		if test.a.Overlaps(test.b) != test.want || test.b.Overlaps(test.a) != test.want {
			t.Errorf("%v and %v: want %t", test.a, test.b, test.want)
		}
	}
}
