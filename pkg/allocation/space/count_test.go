package space

import "testing"

func TestPrefixCount(t *testing.T) {
	t.Parallel()
	for cidr, want := range map[string]string{
		"10.96.0.0/12":      "1048574",
		"10.0.0.1/32":       "1",
		"fd00::/112":        "65535",
		"fd00::/65":         "9223372036854775807",
		"fd00::/64":         "18446744073709551615",
		"fd00:10::/48":      "1208925819614629174706175",
		"fd00::/8":          "1329227995784915872903807060280344575",
		"fd00:10:96::1/128": "1",
	} {
		if got := PrefixCount(cidr); got == nil || got.String() != want {
			t.Errorf("%s has %v, want %s", cidr, got, want)
		}
	}
	if got := PrefixCount("fd00::"); got != nil {
		t.Errorf("no CIDR has %v", got)
	}
}
