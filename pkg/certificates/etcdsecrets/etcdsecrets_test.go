package etcdsecrets

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

const day = 24 * time.Hour

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a cluster, and what the command says in it.
type world struct {
	t      *testing.T
	client *fake.Clientset
	now    time.Time
	hosts  []string
}

func newWorld(t *testing.T) *world { return &world{t: t, client: fake.NewClientset(), now: epoch} }

func (w *world) ensure() (string, error) {
	var progress bytes.Buffer
	err := Ensure(w.t.Context(), Config{
		Client: w.client, Namespace: "portolan", ClusterDomain: "cluster.local", Hosts: w.hosts,
		Policy: DefaultPolicy, Now: func() time.Time { return w.now }, Progress: &progress,
	})
	return progress.String(), err
}

// expect runs it and compares what it says, and what it writes by that.
func (w *world) expect(want ...string) {
	w.t.Helper()
	w.client.ClearActions()
	said, err := w.ensure()
	if err != nil {
		w.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if !slices.EqualFunc(lines, want, strings.HasPrefix) {
		w.t.Errorf("it said\n%swant lines that begin with\n%s", said, strings.Join(want, "\n"))
	}
	writes, left := 0, strings.Count(said, "left as it is")
	for _, action := range w.client.Actions() {
		if action.GetVerb() != "get" {
			writes++
		}
	}
	if writes+left != 4 {
		w.t.Errorf("%d writes and\n%s", writes, said)
	}
}

func (w *world) secret(name string) *corev1.Secret {
	w.t.Helper()
	secret, err := w.client.CoreV1().Secrets("portolan").Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

func (w *world) update(secret *corev1.Secret) {
	w.t.Helper()
	if _, err := w.client.CoreV1().Secrets("portolan").Update(w.t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := w.client.CoreV1().Secrets("portolan").Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// verify checks what a Secret has against the ca.crt of another.
func (w *world) verify(name, by, host string, usages ...x509.ExtKeyUsage) {
	w.t.Helper()
	pair, err := certificates.Parse(w.secret(name).Data["tls.crt"], w.secret(name).Data["tls.key"])
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.secret(by).Data["ca.crt"])
	for _, usage := range usages {
		if _, err := pair.Cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: w.now, DNSName: host,
			KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			w.t.Errorf("%s at %s: %v", name, w.now, err)
		}
	}
}

const (
	authorityMade  = "secret portolan/portolan-etcd-ca: authority portolan-etcd-ca@"
	authorityLeft  = "secret portolan/portolan-etcd-ca: left as it is"
	serverSecret   = "secret portolan/portolan-etcd-server: "
	peerSecret     = "secret portolan/portolan-etcd-peer: "
	clientSecret   = "secret portolan/portolan-etcd-client: "
	leftFirstYear  = "left as it is, good until 2031-01-01T00:00:00Z"
	withAuthority  = "given the authorities as they are now, good until "
	renewed        = "made anew, since it expires at "
	restartMembers = "Restart etcd and Portolan, one Pod after the other, before "
)

func TestMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.expect(authorityMade+"1893456000 has been made, good until 2039-12-30T00:00:00Z",
		serverSecret+"made, good until 2031-01-01T00:00:00Z", peerSecret+"made, good until 2031-01-01T00:00:00Z", clientSecret+"made, good until 2031-01-01T00:00:00Z")
	w.expect(authorityLeft, serverSecret+leftFirstYear, peerSecret+leftFirstYear, clientSecret+leftFirstYear)

	for _, name := range []string{ServerSecret, PeerSecret} {
		for _, host := range []string{
			"portolan-etcd", "portolan-etcd.portolan", "portolan-etcd.portolan.svc", "portolan-etcd-0.portolan-etcd.portolan.svc",
			"portolan-etcd.portolan.svc.cluster.local", "portolan-etcd-2.portolan-etcd.portolan.svc.cluster.local", "localhost", "127.0.0.1", "::1",
		} {
			w.verify(name, ClientSecret, host, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
		}
	}
	w.verify(ClientSecret, ServerSecret, "", x509.ExtKeyUsageClientAuth)
	client, err := certificates.Parse(w.secret(ClientSecret).Data["tls.crt"], w.secret(ClientSecret).Data["tls.key"])
	if err != nil || len(client.Cert.DNSNames)+len(client.Cert.IPAddresses) > 0 || len(client.Cert.ExtKeyUsage) != 1 {
		t.Errorf("the client's certificate: %+v, %v", client.Cert, err)
	}
	if w.secret(ServerSecret).Type != corev1.SecretTypeTLS || w.secret(AuthoritySecret).Data["ca.key"] == nil ||
		w.secret(ServerSecret).Data["ca.key"] != nil {
		t.Error("keys are where they should not be")
	}

	w.hosts = []string{"192.0.2.7", "etcd.example.com"}
	const anew = "made anew, since it lacks names or usages, good until "
	w.expect(authorityLeft, serverSecret+anew, peerSecret+anew, clientSecret+leftFirstYear)
	w.verify(ServerSecret, ClientSecret, "192.0.2.7", x509.ExtKeyUsageServerAuth)
}

// TestDecades runs it every week for 25 years. Nobody is restarted but when it
// says so, at the last moment, and that is when he reads ca.crt; certificates
// are read at once.
func TestDecades(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.ensure(); err != nil {
		t.Fatal(err)
	}
	reminders, authorities := 0, map[string]bool{}
	trusted := w.secret(ServerSecret).Data["ca.crt"]
	var restart time.Time
	for ; w.now.Before(epoch.Add(25 * year)); w.now = w.now.Add(7 * day) {
		if !restart.IsZero() && !w.now.Add(7*day).Before(restart) {
			trusted, restart = w.secret(ServerSecret).Data["ca.crt"], time.Time{}
		}
		said, err := w.ensure()
		if err != nil {
			t.Fatal(err)
		}
		if _, after, reminded := strings.Cut(said, restartMembers); reminded {
			reminders++
			date, _, _ := strings.Cut(after, ":")
			if when, err := time.Parse(time.DateOnly, date); err != nil {
				t.Fatal(err)
			} else if !authorities[date] {
				restart, authorities[date] = when, true
			}
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(trusted)
		for _, name := range []string{ServerSecret, PeerSecret, ClientSecret} {
			pair, err := certificates.Parse(w.secret(name).Data["tls.crt"], w.secret(name).Data["tls.key"])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pair.Cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: w.now,
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
				t.Fatalf("%s: %s: %v", w.now, name, err)
			}
		}
	}
	// One each six years and eight months, with a year of weekly reminders.
	if len(authorities) != 3 || reminders < 3*51 || reminders > 3*54 {
		t.Errorf("%d reminders of %v", reminders, authorities)
	}
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.ensure(); err != nil {
		t.Fatal(err)
	}
	w.now = epoch.Add(243 * day)
	w.expect(authorityLeft, serverSecret+leftFirstYear, peerSecret+leftFirstYear, clientSecret+leftFirstYear)
	w.remove(PeerSecret)
	w.now = epoch.Add(244 * day)
	w.expect(authorityLeft, serverSecret+renewed, peerSecret+"made, ", clientSecret+renewed)
	w.now = epoch.Add(10 * year * 2 / 3)
	w.expect(authorityMade, serverSecret+"made anew, since it has expired", peerSecret+"made anew", clientSecret+"made anew",
		restartMembers+"2037-")
}

// TestLostAuthority wants members that run to go on trusting each other.
func TestLostAuthority(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.ensure(); err != nil {
		t.Fatal(err)
	}
	before := w.secret(ServerSecret)
	w.remove(AuthoritySecret)
	w.now = epoch.Add(10 * day)
	w.expect(authorityMade, serverSecret+withAuthority, peerSecret+withAuthority, clientSecret+withAuthority, restartMembers)
	after := w.secret(ServerSecret)
	if !bytes.Equal(before.Data["tls.crt"], after.Data["tls.crt"]) || !bytes.Contains(after.Data["ca.crt"], before.Data["ca.crt"]) {
		t.Error("what the old authority signed was thrown away while it is good")
	}
	w.verify(ServerSecret, ClientSecret, "portolan-etcd", x509.ExtKeyUsageServerAuth)
}

func TestLeftAlone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		secret string
		change func(*corev1.Secret)
		want   string
	}{
		"cert-manager's": {PeerSecret, func(s *corev1.Secret) { s.Annotations = map[string]string{"cert-manager.io/certificate-name": "x"} },
			"secret portolan/portolan-etcd-peer is cert-manager's, which renews it"},
		"a spoilt certificate": {ServerSecret, func(s *corev1.Secret) { s.Data["tls.crt"] = []byte("x") },
			"secret portolan/portolan-etcd-server can't be used: delete it to have it made anew: certificate: "},
		"another key": {ClientSecret, func(s *corev1.Secret) { s.Data["tls.key"] = nil },
			"secret portolan/portolan-etcd-client can't be used: delete it to have it made anew: key: "},
		"a spoilt authority": {AuthoritySecret, func(s *corev1.Secret) { s.Data["ca.crt"] = nil },
			"secret portolan/portolan-etcd-ca can't be used: delete it to have it made anew: certificate: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if _, err := w.ensure(); err != nil {
				t.Fatal(err)
			}
			spoilt := w.secret(test.secret)
			test.change(spoilt)
			w.update(spoilt)
			w.now = epoch.Add(300 * day)
			if said, err := w.ensure(); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%v\n%s", err, said)
			}
			if after := w.secret(test.secret); !after.DeepCopy().ObjectMeta.CreationTimestamp.Equal(&spoilt.CreationTimestamp) ||
				!bytes.Equal(after.Data["tls.crt"], spoilt.Data["tls.crt"]) {
				t.Error("it was overwritten")
			}
		})
	}
}

func (w *world) list() []corev1.Secret {
	w.t.Helper()
	list, err := w.client.CoreV1().Secrets("portolan").List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

// others are the Secrets as somebody else would write them now.
func (w *world) others() []corev1.Secret {
	w.t.Helper()
	other := newWorld(w.t)
	other.now = w.now
	other.replace(w.list())
	if _, err := other.ensure(); err != nil {
		w.t.Fatal(err)
	}
	return other.list()
}

// replace makes Secrets those of the cluster, past its clients.
func (w *world) replace(secrets []corev1.Secret) {
	for i := range secrets {
		resource := corev1.SchemeGroupVersion.WithResource("secrets")
		err := w.client.Tracker().Create(resource, &secrets[i], "portolan")
		if apierrors.IsAlreadyExists(err) {
			err = w.client.Tracker().Update(resource, &secrets[i], "portolan")
		}
		if err != nil {
			w.t.Error(err)
		}
	}
}

// TestRaces has somebody else write each Secret first.
func TestRaces(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"create", "update"} {
		for _, name := range []string{AuthoritySecret, ServerSecret, ClientSecret} {
			t.Run(verb+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				if verb == "update" {
					if _, err := w.ensure(); err != nil {
						t.Fatal(err)
					}
					w.now = epoch.Add(10 * year * 2 / 3)
				}
				others := w.others()
				lost := false
				w.client.PrependReactor(verb, "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
					written := action.(clienttesting.CreateAction).GetObject().(*corev1.Secret)
					if lost || written.Name != name {
						return false, nil, nil
					}
					lost = true
					w.replace(others)
					resource := action.GetResource().GroupResource()
					if verb == "create" {
						return true, nil, apierrors.NewAlreadyExists(resource, name)
					}
					return true, nil, apierrors.NewConflict(resource, name, nil)
				})
				if said, err := w.ensure(); err != nil || !lost {
					t.Errorf("%v\n%s", err, said)
				}
				for _, name := range []string{ServerSecret, PeerSecret} {
					w.verify(name, ClientSecret, "portolan-etcd", x509.ExtKeyUsageServerAuth)
				}
				w.verify(ClientSecret, PeerSecret, "", x509.ExtKeyUsageClientAuth)
			})
		}
	}
}

func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	if p := DefaultPolicy; p.Authority/3 <= p.Publish+p.Certificate || p.Publish <= 0 {
		t.Errorf("%+v", p)
	}
}
