package v1

import (
	"strings"
	"testing"
)

func TestParsePortRange(t *testing.T) {
	for _, test := range []struct {
		entry       string
		first, last int32
		wantErr     string
	}{
		{entry: "1", first: 1, last: 1},
		{entry: "443", first: 443, last: 443},
		{entry: "65535", first: 65535, last: 65535},
		{entry: "30000-32767", first: 30000, last: 32767},
		{entry: "80-80", first: 80, last: 80},
		{entry: "1-65535", first: 1, last: 65535},
		{entry: "", wantErr: "must be a port"},
		{entry: "-", wantErr: "must be a port"},
		{entry: "80-", wantErr: "must be a port"},
		{entry: "-80", wantErr: "must be a port"},
		{entry: "1-2-3", wantErr: "must be a port"},
		{entry: "http", wantErr: "must be a port"},
		{entry: "+80", wantErr: "must be a port"},
		{entry: "80 - 90", wantErr: "must be a port"},
		{entry: "30000+10", wantErr: "must be a port"},
		{entry: "8\u06600", wantErr: "must be a port"},
		{entry: "080", wantErr: "must not have leading zeros"},
		{entry: "0", wantErr: "must be between 1 and 65535, inclusive"},
		{entry: "0-80", wantErr: "must be between 1 and 65535, inclusive"},
		{entry: "65536", wantErr: "must be between 1 and 65535, inclusive"},
		{entry: "99999999999999999999", wantErr: "must be between 1 and 65535, inclusive"},
		{entry: "90-80", wantErr: "the first port must not be above the last"},
	} {
		first, last, err := ParsePortRange(test.entry)
		if test.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("ParsePortRange(%q): error %v, want %q", test.entry, err, test.wantErr)
			}
			continue
		}
		if err != nil || first != test.first || last != test.last {
			t.Errorf("ParsePortRange(%q) = %d, %d, %v, want %d, %d", test.entry, first, last, err, test.first, test.last)
		}
	}
}
