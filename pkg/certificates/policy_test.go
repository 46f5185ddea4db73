package certificates

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

var (
	epoch  = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	policy = Policy{Authority: 300 * day, Certificate: 30 * day, Publish: 2 * day}
	wanted = &x509.Certificate{DNSNames: []string{"a.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
)

func authority(t *testing.T, made time.Time) Pair {
	t.Helper()
	p, err := NewAuthority("ca", made, policy.Authority)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func issue(t *testing.T, by Pair, made time.Time, hosts ...string) Pair {
	t.Helper()
	template := *wanted
	SetHosts(&template, hosts...)
	p, err := by.Issue(template, made, policy.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ages describes a bundle by the ages of its authorities in days, oldest first;
// those in parentheses have no key.
func ages(b Bundle, now time.Time) string {
	var words []string
	for _, a := range b {
		word := fmt.Sprint(int(now.Sub(a.Cert.NotBefore.Add(backdate)) / day))
		if a.Key == nil {
			word = "(" + word + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestAuthorities(t *testing.T) {
	t.Parallel()
	unpublished := func(*x509.Certificate) bool { return false }
	for name, test := range map[string]struct {
		keyed, keyless []int
		published      Published
		want, signer   string
	}{
		"nothing yet":                          {nil, nil, AssumePublished, "0", "0"},
		"one":                                  {[]int{0}, nil, AssumePublished, "0", "0"},
		"one that nobody knows":                {[]int{0}, nil, unpublished, "0", "0"},
		"two thirds, nearly":                   {[]int{199}, nil, AssumePublished, "199", "199"},
		"two thirds":                           {[]int{200}, nil, AssumePublished, "200 0", "200"},
		"a new one just made":                  {[]int{200, 0}, nil, AssumePublished, "200 0", "200"},
		"a new one of yesterday":               {[]int{201, 1}, nil, AssumePublished, "201 1", "201"},
		"a new one published for long enough":  {[]int{202, 2}, nil, AssumePublished, "(202) 2", "2"},
		"a new one that was not published":     {[]int{250, 50}, nil, unpublished, "250 50", "250"},
		"the old one expires":                  {[]int{100}, []int{300}, AssumePublished, "(300) 100", "100"},
		"the old one has expired":              {[]int{101}, []int{301}, AssumePublished, "101", "101"},
		"expired before another was published": {[]int{301, 101}, nil, unpublished, "101", "101"},
		"all have expired":                     {[]int{400}, []int{500}, AssumePublished, "0", "0"},
		"no key is left":                       {nil, []int{100}, AssumePublished, "(100) 0", "0"},
		"somebody's own, without a key":        {[]int{10}, []int{5}, AssumePublished, "10 (5)", "10"},
		"three":                                {[]int{210, 9, 5}, nil, AssumePublished, "(210) (9) 5", "5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b Bundle
			for _, age := range test.keyed {
				b = append(b, authority(t, epoch.Add(-time.Duration(age)*day)))
			}
			for _, age := range test.keyless {
				b = append(b, Pair{Cert: authority(t, epoch.Add(-time.Duration(age)*day)).Cert})
			}
			b.sort()
			now, given := epoch, slices.Clone(b)
			next, changes, err := policy.Authorities(b, "ca", now, test.published)
			if err != nil {
				t.Fatal(err)
			}
			if got := ages(next, now); got != test.want {
				t.Errorf("bundle %q, want %q: %q", got, test.want, changes)
			}
			if got := ages(Bundle{policy.Signer(next, now, test.published)}, now); got != test.signer {
				t.Errorf("signed by %q, want %q", got, test.signer)
			}
			if !slices.Equal(b, given) {
				t.Error("the given bundle was changed")
			}
			// Nothing is due a second time.
			again, more, err := policy.Authorities(next, "ca", now, test.published)
			if err != nil || len(more) > 0 || !slices.Equal(again, next) {
				t.Errorf("once more: %q, %v", more, err)
			}
			if (len(changes) == 0) != (ages(next, now) == ages(given, now) && len(next) == len(given)) {
				t.Errorf("changes %q from %q to %q", changes, ages(given, now), ages(next, now))
			}
		})
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	ca := authority(t, epoch)
	stranger := authority(t, epoch)
	for name, test := range map[string]struct {
		current Pair
		after   time.Duration
		want    string
	}{
		"none":            {Pair{}, 0, "there is none"},
		"fresh":           {issue(t, ca, epoch, "a.example"), 0, ""},
		"two thirds, not": {issue(t, ca, epoch, "a.example"), 20*day - time.Hour, ""},
		"two thirds":      {issue(t, ca, epoch, "a.example"), 20 * day, "it expires at 2030-01-31T00:00:00Z"},
		"expired":         {issue(t, ca, epoch, "a.example"), 30*day + time.Second, "it has expired"},
		"a stranger's":    {issue(t, stranger, epoch, "a.example"), 0, "no authority of the bundle has signed it"},
		"another name":    {issue(t, ca, epoch, "b.example"), 0, "it lacks names or usages"},
		"names more":      {issue(t, ca, epoch, "b.example", "127.0.0.1", "a.example"), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := policy.Due(test.current, Bundle{ca}, wanted, epoch.Add(test.after)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestYears simulates five years in steps of some hours. At each step it checks that
// every certificate issued so far is trusted until it expires, and that only
// published authorities sign.
func TestYears(t *testing.T) {
	t.Parallel()
	var b Bundle
	var current Pair
	var handedOut []Pair
	signers := map[string]time.Time{}
	made := 0
	for now := epoch; now.Before(epoch.Add(5 * 365 * day)); now = now.Add(11 * time.Hour) {
		next, _, err := policy.Authorities(b, "ca", now, AssumePublished)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range next {
			if !b.Contains(a.Cert) {
				signers[a.Cert.SerialNumber.String()] = now
			}
		}
		b = next
		if policy.Due(current, b, wanted, now) != "" {
			signer := policy.Signer(b, now, AssumePublished)
			if age := now.Sub(signers[signer.Cert.SerialNumber.String()]); made > 0 && age < policy.Publish {
				t.Fatalf("%s: signed by an authority %v after it was made", now, age)
			}
			current = issue(t, signer, now, "a.example")
			handedOut = append(handedOut, current)
			made++
		}
		roots := x509.NewCertPool()
		for _, a := range b {
			roots.AddCert(a.Cert)
		}
		handedOut = slices.DeleteFunc(handedOut, func(p Pair) bool { return now.After(p.Cert.NotAfter) })
		for _, p := range handedOut {
			if _, err := p.Cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, DNSName: "a.example"}); err != nil {
				t.Fatalf("%s: a certificate made at %s: %v", now, p.Cert.NotBefore, err)
			}
		}
		if len(handedOut) == 0 || len(b) > 2 {
			t.Fatalf("%s: %d certificates are good, %d authorities are trusted", now, len(handedOut), len(b))
		}
	}
	// Two thirds of the lifetimes are 20 and 200 days.
	if days := 5 * 365; made < days/21 || made > days/20+2 || len(signers) < days/201 || len(signers) > days/200+2 {
		t.Errorf("%d certificates and %d authorities were made", made, len(signers))
	}
}

func TestIssueEndsWithAuthority(t *testing.T) {
	t.Parallel()
	ca := authority(t, epoch)
	late := issue(t, ca, epoch.Add(290*day), "a.example")
	if !late.Cert.NotAfter.Equal(ca.Cert.NotAfter) {
		t.Errorf("good until %s, its authority until %s", late.Cert.NotAfter, ca.Cert.NotAfter)
	}
}
