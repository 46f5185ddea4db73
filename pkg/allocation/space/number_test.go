package space

import (
	"net/netip"
	"testing"
)

func TestNumberOfAddr(t *testing.T) {
	for _, test := range []struct {
		in, out string
		number  Number
	}{
		{"10.96.0.1", "10.96.0.1", Number{0, 0xffff_0a60_0001}},
		{"::ffff:10.96.0.1", "10.96.0.1", Number{0, 0xffff_0a60_0001}},
		{"::", "::", Number{}},
		{"::1", "::1", Number{0, 1}},
		{"fe80::1%eth0", "fe80::1", Number{0xfe80 << 48, 1}},
		{"2001:db8:0:0:0::a", "2001:db8::a", Number{0x20010db8 << 32, 0xa}},
	} {
		number := FromAddr(netip.MustParseAddr(test.in))
		if number != test.number {
			t.Errorf("FromAddr(%s) = %x, want %x", test.in, number, test.number)
		}
		if out := number.Addr().String(); out != test.out {
			t.Errorf("FromAddr(%s).Addr() = %s, want %s", test.in, out, test.out)
		}
	}
	if got := FromAddr(netip.Addr{}); got != (Number{}) {
		t.Errorf("FromAddr of the zero Addr = %v", got)
	}
}

func TestNumberOfPort(t *testing.T) {
	spans, err := PortSpans([]string{"1-65535"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []int32{-1 << 31, -1, 0, 1, 443, 65535, 65536, 1<<31 - 1} {
		number := FromPort(port)
		if number.Port() != port {
			t.Errorf("FromPort(%d).Port() = %d", port, number.Port())
		}
		if in := spans[0].Contains(number); in != (port >= 1 && port <= 65535) {
			t.Errorf("1-65535 contains %d: %v", port, in)
		}
	}
}

func TestNumberOrder(t *testing.T) {
	ascending := []Number{{0, 0}, {0, 1}, {0, ^uint64(0)}, {1, 0}, {1, 1}, {^uint64(0), 0}, maxNumber}
	for i, a := range ascending {
		for j, b := range ascending {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%v.Compare(%v) = %d, want %d", a, b, got, want)
			}
			if got := a.less(b); got != (want < 0) {
				t.Errorf("%v.less(%v) = %v", a, b, got)
			}
			if got := a.plus(b).minus(b); got != a {
				t.Errorf("%v + %v - %v = %v", a, b, b, got)
			}
		}
	}
}
