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

// replica is a Keeper that syncs when the test says so.
type replica struct {
	*Keeper
	busy bool
	// due is when it syncs next: replicas are as late as they like, up to a limit.
	due time.Time
}

// view is a bundle and when it was there to be read first.
type view struct {
	since  time.Time
	bundle []byte
}

// world lets replicas live through the years at random: each step one of them
// syncs, and before each of its requests is answered time may pass and others
// may sync, whole or in part.
type world struct {
	t        *testing.T
	random   *rand.Rand
	clock    *testingclock.FakeClock
	cluster  *cluster
	replicas []*replica
	// published are the bundles that the APIService has had, mounted those of the
	// Secret.
	published, mounted []view
	authorities        map[string]bool
	certificates       map[string]bool
	failures           int
	// outage is until when the APIService can't be written.
	outage time.Time
	// good is until when a bundle verifies a certificate.
	good map[[2]string]time.Time
}

const (
	// lateness is how long a replica may sleep, and patience how long
	// kube-apiserver may go on with an old caBundle.
	lateness = 2 * day
	patience = 12 * time.Hour
	// retryLimit is how long a replica may sleep that failed.
	retryLimit = 3 * time.Hour
	// mountDelay is how long a client may go on with an old ca.crt.
	mountDelay = 36 * time.Hour
)

func (w *world) step() {
	next := w.replicas[0]
	for _, r := range w.replicas {
		if r.due.Before(next.due) {
			next = r
		}
	}
	if wait := next.due.Sub(w.clock.Now()); wait > 0 {
		w.clock.Step(wait)
	}
	w.sync(next)
}

func (w *world) sync(r *replica) {
	r.busy = true
	limit := lateness
	if err := r.RunOnce(w.t.Context()); err != nil {
		w.failures++
		limit = retryLimit
	}
	r.busy = false
	r.due = w.clock.Now().Add(time.Duration(w.random.Int64N(int64(limit))))
}

// interrupt is what happens while a request is under way.
func (w *world) interrupt(req *http.Request) int {
	if req.Method == http.MethodPatch && w.clock.Now().Before(w.outage) {
		return 403
	}
	switch w.random.IntN(12) {
	case 0:
		w.clock.Step(time.Duration(w.random.Int64N(int64(20 * time.Minute))))
	case 1:
		if other := w.replicas[w.random.IntN(len(w.replicas))]; !other.busy {
			w.sync(other)
		}
	case 2:
		return 500
	case 3:
		return 409
	case 4:
		if now := w.clock.Now(); now.Sub(w.outage) > 20*day && w.random.IntN(10) == 0 {
			w.outage = now.Add(3 * brief.Publish)
		}
	}
	return 0
}

// check looks at what is served, as it is now, through the eyes of those who
// verify: any bundle that one of them may still go by.
func (w *world) check() {
	now := w.clock.Now()
	note(&w.published, w.cluster.caBundle(), now, patience)
	if w.cluster.secret != nil {
		note(&w.mounted, w.cluster.secret.Data[authoritiesKey], now, mountDelay)
	}
	for i, r := range w.replicas {
		current := r.current.Load()
		if current == nil {
			continue
		}
		w.certificates[string(current.cert)] = true
		w.authorities[r.Authority().SerialNumber.String()] = true
		for who, views := range map[string][]view{"kube-apiserver": w.published, "a client": w.mounted} {
			for _, v := range views {
				if until := w.verify(string(v.bundle), string(current.cert)); now.After(until) {
					w.t.Fatalf("%s: %s with the bundle of %s trusts what replica %d serves until %s", now, who, v.since, i, until)
				}
			}
		}
	}
}

// verify says until when somebody with a bundle can verify a certificate; the
// zero time is never.
func (w *world) verify(bundle, cert string) time.Time {
	until, known := w.good[[2]string{bundle, cert}]
	if known {
		return until
	}
	certs, err := certutil.ParseCertsPEM([]byte(cert))
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(bundle))
	chains, err := certs[0].Verify(x509.VerifyOptions{Roots: roots, CurrentTime: w.clock.Now(), DNSName: "portolan.portolan.svc"})
	if err == nil {
		until = certs[0].NotAfter
		for _, authority := range chains[0] {
			if authority.NotAfter.Before(until) {
				until = authority.NotAfter
			}
		}
	}
	w.good[[2]string{bundle, cert}] = until
	return until
}

// note adds a bundle if it is a new one, and forgets those that nobody can have
// any more: all that were replaced longer ago than the delay.
func note(views *[]view, bundle []byte, now time.Time, delay time.Duration) {
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

// TestYears has four replicas live through 400 days, with seven or so
// authorities, and wants that at no moment anybody is presented a certificate
// that he can't verify.
func TestYears(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := &world{
				t: t, random: rand.New(rand.NewPCG(seed, 0)), clock: testingclock.NewFakeClock(epoch), cluster: newCluster(t),
				authorities: map[string]bool{}, certificates: map[string]bool{}, good: map[[2]string]time.Time{},
			}
			for range 4 {
				k, err := New(t.Context(), w.cluster.config(brief, w.clock))
				if err != nil {
					t.Fatal(err)
				}
				w.replicas = append(w.replicas, &replica{Keeper: k, due: epoch})
			}
			w.cluster.before, w.cluster.after = w.interrupt, w.check
			for w.clock.Now().Before(epoch.Add(400 * day)) {
				w.step()
				w.check()
			}
			t.Logf("%d authorities, %d certificates, %d syncs failed", len(w.authorities), len(w.certificates), w.failures)
			// Authorities are replaced after 60 days, certificates after 6.
			if len(w.authorities) < 5 || len(w.authorities) > 8 || len(w.certificates) < 50 || len(w.certificates) > 70 || w.failures < 50 {
				t.Error("that is not what 400 days bring")
			}
		})
	}
}
