package trust

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

// TestMerge wants the authorities of all replicas, in the order of their publication.
func TestMerge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	authority := func(lifetime time.Duration) []byte {
		pair, err := certificates.NewAuthority("a", now.Add(-24*time.Hour), lifetime)
		if err != nil {
			t.Fatal(err)
		}
		return certificates.EncodeCerts(pair.Cert)
	}
	one, two, expired := authority(48*time.Hour), authority(48*time.Hour), authority(time.Hour)
	for name, test := range map[string]struct{ published, own, want []byte }{
		"the first":   {nil, one, one},
		"the second":  {one, two, slices.Concat(one, two)},
		"again":       {slices.Concat(one, two), one, slices.Concat(one, two)},
		"expired":     {slices.Concat(expired, one), two, slices.Concat(one, two)},
		"twice":       {slices.Concat(one, one), two, slices.Concat(one, two)},
		"not a cert":  {[]byte("hello"), one, one},
		"nothing own": {one, nil, one},
	} {
		if got := Merge(test.published, test.own, now); !bytes.Equal(got, test.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, test.want)
		}
	}
}
