package servingsecret

import (
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	certutil "k8s.io/client-go/util/cert"
	testingclock "k8s.io/utils/clock/testing"
)

// replica is a Keeper that syncs when the simulation lets it.
type replica struct {
	*Keeper
	busy bool
	// due is when the replica syncs next. It is random, up to a limit.
	due time.Time
}

// view is a bundle and the time since which it can be read.
type view struct {
	since  time.Time
	bundle []byte
}

// simulation runs replicas through a long time at random. In each step one of them
// syncs. Before each of its requests is answered, time may pass and other replicas
// may sync, wholly or in part.
type simulation struct {
	t        *testing.T
	random   *rand.Rand
	clock    *testingclock.FakeClock
	cluster  *cluster
	replicas []*replica
	// published holds the bundles that the APIService has had, and mounted those that
	// the Secret has had.
	published, mounted []view
	authorities        map[string]bool
	certificates       map[string]bool
	failures           int
	// outage is the time until which the APIService can't be written.
	outage time.Time
	// validUntil is the time until which a bundle verifies a certificate.
	validUntil map[[2]string]time.Time
}

const (
	// syncDelay limits how long a replica waits between syncs, and retryDelay after
	// one that failed.
	syncDelay  = 2 * day
	retryDelay = 3 * time.Hour
	// publishDelay limits how long kube-apiserver uses an old caBundle, and mountDelay
	// how long a client uses an old ca.crt.
	publishDelay = 12 * time.Hour
	mountDelay   = 36 * time.Hour
)

func (s *simulation) step() {
	next := s.replicas[0]
	for _, r := range s.replicas {
		if r.due.Before(next.due) {
			next = r
		}
	}
	if wait := next.due.Sub(s.clock.Now()); wait > 0 {
		s.clock.Step(wait)
	}
	s.sync(next)
}

func (s *simulation) sync(r *replica) {
	r.busy = true
	limit := syncDelay
	if err := r.RunOnce(s.t.Context()); err != nil {
		s.failures++
		limit = retryDelay
	}
	r.busy = false
	r.due = s.clock.Now().Add(time.Duration(s.random.Int64N(int64(limit))))
}

// interrupt acts at random before a request is answered.
func (s *simulation) interrupt(req *http.Request) int {
	if req.Method == http.MethodPatch && s.clock.Now().Before(s.outage) {
		return 403
	}
	switch s.random.IntN(12) {
	case 0:
		s.clock.Step(time.Duration(s.random.Int64N(int64(20 * time.Minute))))
	case 1:
		if other := s.replicas[s.random.IntN(len(s.replicas))]; !other.busy {
			s.sync(other)
		}
	case 2:
		return 500
	case 3:
		return 409
	case 4:
		if now := s.clock.Now(); now.Sub(s.outage) > 20*day && s.random.IntN(10) == 0 {
			s.outage = now.Add(3 * shortPolicy.Publish)
		}
	}
	return 0
}

// check verifies what each replica serves now, with every bundle that a client may
// still use.
func (s *simulation) check() {
	now := s.clock.Now()
	record(&s.published, s.cluster.caBundle(), now, publishDelay)
	if s.cluster.secret != nil {
		record(&s.mounted, s.cluster.secret.Data[authoritiesKey], now, mountDelay)
	}
	for i, r := range s.replicas {
		current := r.current.Load()
		if current == nil {
			continue
		}
		s.certificates[string(current.cert)] = true
		s.authorities[r.Authority().SerialNumber.String()] = true
		for verifier, views := range map[string][]view{"kube-apiserver": s.published, "a client": s.mounted} {
			for _, v := range views {
				if until := s.verify(string(v.bundle), string(current.cert)); now.After(until) {
					s.t.Fatalf("%s: %s with the bundle of %s trusts what replica %d serves until %s", now, verifier, v.since, i, until)
				}
			}
		}
	}
}

// verify returns the time until which a client with a bundle can verify a certificate.
// The zero time means never.
func (s *simulation) verify(bundle, cert string) time.Time {
	until, known := s.validUntil[[2]string{bundle, cert}]
	if known {
		return until
	}
	certs, err := certutil.ParseCertsPEM([]byte(cert))
	if err != nil {
		s.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(bundle))
	chains, err := certs[0].Verify(x509.VerifyOptions{Roots: roots, CurrentTime: s.clock.Now(), DNSName: "portolan.portolan.svc"})
	if err == nil {
		until = certs[0].NotAfter
		for _, authority := range chains[0] {
			if authority.NotAfter.Before(until) {
				until = authority.NotAfter
			}
		}
	}
	s.validUntil[[2]string{bundle, cert}] = until
	return until
}

// record adds a bundle if it is new, and drops those that were replaced longer ago
// than the delay, because no client uses them any more.
func record(views *[]view, bundle []byte, now time.Time, delay time.Duration) {
	if len(bundle) == 0 {
		return
	}
	if n := len(*views); n == 0 || string((*views)[n-1].bundle) != string(bundle) {
		*views = append(*views, view{now, bundle})
	}
	for len(*views) > 1 && now.Sub((*views)[1].since) > delay {
		*views = slices.Delete(*views, 0, 1)
	}
}

// TestYears runs four replicas for 400 days, which takes about seven authorities. At
// no time may a client get a certificate that it can't verify.
func TestYears(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := &simulation{
				t: t, random: rand.New(rand.NewPCG(seed, 0)), clock: testingclock.NewFakeClock(epoch), cluster: newCluster(t),
				authorities: map[string]bool{}, certificates: map[string]bool{}, validUntil: map[[2]string]time.Time{},
			}
			for range 4 {
				k, err := New(t.Context(), s.cluster.config(shortPolicy, s.clock))
				if err != nil {
					t.Fatal(err)
				}
				s.replicas = append(s.replicas, &replica{Keeper: k, due: epoch})
			}
			s.cluster.before, s.cluster.after = s.interrupt, s.check
			for s.clock.Now().Before(epoch.Add(400 * day)) {
				s.step()
				s.check()
			}
			t.Logf("%d authorities, %d certificates, %d syncs failed", len(s.authorities), len(s.certificates), s.failures)
			// Authorities are replaced after 60 days, certificates after 6.
			if len(s.authorities) < 5 || len(s.authorities) > 8 || len(s.certificates) < 50 || len(s.certificates) > 70 || s.failures < 50 {
				t.Error("400 days should bring other numbers")
			}
		})
	}
}
