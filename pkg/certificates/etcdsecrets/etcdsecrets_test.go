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

// testCluster is a fake cluster in which Ensure runs.
type testCluster struct {
	t      *testing.T
	client *fake.Clientset
	now    time.Time
	hosts  []string
}

func newTestCluster(t *testing.T) *testCluster {
	return &testCluster{t: t, client: fake.NewClientset(), now: epoch}
}

func (c *testCluster) ensure() (string, error) {
	var progress bytes.Buffer
	err := Ensure(c.t.Context(), Config{
		Client: c.client, Namespace: "portolan", ClusterDomain: "cluster.local", Hosts: c.hosts,
		Policy: DefaultPolicy, Now: func() time.Time { return c.now }, Progress: &progress,
	})
	return progress.String(), err
}

// expect runs Ensure. It compares the beginnings of the lines of progress, and the
// number of writes with them.
func (c *testCluster) expect(want ...string) {
	c.t.Helper()
	c.client.ClearActions()
	progress, err := c.ensure()
	if err != nil {
		c.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(progress), "\n")
	if !slices.EqualFunc(lines, want, strings.HasPrefix) {
		c.t.Errorf("got\n%swant lines that begin with\n%s", progress, strings.Join(want, "\n"))
	}
	writes, left := 0, strings.Count(progress, "left as it is")
	for _, action := range c.client.Actions() {
		if action.GetVerb() != "get" {
			writes++
		}
	}
	if writes+left != 4 {
		c.t.Errorf("%d writes and\n%s", writes, progress)
	}
}

func (c *testCluster) secret(name string) *corev1.Secret {
	c.t.Helper()
	secret, err := c.client.CoreV1().Secrets("portolan").Get(c.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return secret
}

func (c *testCluster) update(secret *corev1.Secret) {
	c.t.Helper()
	if _, err := c.client.CoreV1().Secrets("portolan").Update(c.t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *testCluster) remove(name string) {
	c.t.Helper()
	if err := c.client.CoreV1().Secrets("portolan").Delete(c.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// verify verifies the certificate in a Secret with the ca.crt in another.
func (c *testCluster) verify(name, by, host string, usages ...x509.ExtKeyUsage) {
	c.t.Helper()
	pair, err := certificates.Parse(c.secret(name).Data["tls.crt"], c.secret(name).Data["tls.key"])
	if err != nil {
		c.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.secret(by).Data["ca.crt"])
	for _, usage := range usages {
		if _, err := pair.Cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: c.now, DNSName: host,
			KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			c.t.Errorf("%s at %s: %v", name, c.now, err)
		}
	}
}

const (
	authorityMade  = "secret portolan/portolan-etcd-ca: authority portolan-etcd-ca@"
	authorityLeft  = "secret portolan/portolan-etcd-ca: left as it is"
	serverSecret   = "secret portolan/portolan-etcd-server: "
	peerSecret     = "secret portolan/portolan-etcd-peer: "
	clientSecret   = "secret portolan/portolan-etcd-client: "
	leftFirstYear  = "left as it is, valid until 2031-01-01T00:00:00Z"
	withAuthority  = "ca.crt updated, valid until "
	renewed        = "renewed because it expires at "
	restartMembers = "Restart etcd and Portolan, one Pod after the other, before "
)

func TestMadeOnce(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t)
	const created = "created, valid until 2031-01-01T00:00:00Z"
	c.expect(authorityMade+"1893456000 created, valid until 2039-12-30T00:00:00Z",
		serverSecret+created, peerSecret+created, clientSecret+created)
	c.expect(authorityLeft, serverSecret+leftFirstYear, peerSecret+leftFirstYear, clientSecret+leftFirstYear)

	for _, name := range []string{ServerSecret, PeerSecret} {
		for _, host := range []string{
			"portolan-etcd", "portolan-etcd.portolan", "portolan-etcd.portolan.svc", "portolan-etcd-0.portolan-etcd.portolan.svc",
			"portolan-etcd.portolan.svc.cluster.local", "portolan-etcd-2.portolan-etcd.portolan.svc.cluster.local", "localhost", "127.0.0.1", "::1",
		} {
			c.verify(name, ClientSecret, host, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
		}
	}
	c.verify(ClientSecret, ServerSecret, "", x509.ExtKeyUsageClientAuth)
	client, err := certificates.Parse(c.secret(ClientSecret).Data["tls.crt"], c.secret(ClientSecret).Data["tls.key"])
	if err != nil || len(client.Cert.DNSNames)+len(client.Cert.IPAddresses) > 0 || len(client.Cert.ExtKeyUsage) != 1 {
		t.Errorf("the client's certificate: %+v, %v", client.Cert, err)
	}
	if c.secret(ServerSecret).Type != corev1.SecretTypeTLS || c.secret(AuthoritySecret).Data["ca.key"] == nil ||
		c.secret(ServerSecret).Data["ca.key"] != nil {
		t.Error("keys are where they should not be")
	}

	c.hosts = []string{"192.0.2.7", "etcd.example.com"}
	const extended = "renewed because it lacks names or usages, valid until "
	c.expect(authorityLeft, serverSecret+extended, peerSecret+extended, clientSecret+leftFirstYear)
	c.verify(ServerSecret, ClientSecret, "192.0.2.7", x509.ExtKeyUsageServerAuth)
}

// TestDecades runs Ensure every week for 25 years. Processes are restarted, and read
// ca.crt, only when the reminder says so, at the last moment. They read certificates
// at once.
func TestDecades(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t)
	if _, err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	reminders, authorities := 0, map[string]bool{}
	trusted := c.secret(ServerSecret).Data["ca.crt"]
	var restart time.Time
	for ; c.now.Before(epoch.Add(25 * year)); c.now = c.now.Add(7 * day) {
		if !restart.IsZero() && !c.now.Add(7*day).Before(restart) {
			trusted, restart = c.secret(ServerSecret).Data["ca.crt"], time.Time{}
		}
		progress, err := c.ensure()
		if err != nil {
			t.Fatal(err)
		}
		if _, after, reminded := strings.Cut(progress, restartMembers); reminded {
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
			pair, err := certificates.Parse(c.secret(name).Data["tls.crt"], c.secret(name).Data["tls.key"])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pair.Cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: c.now,
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
				t.Fatalf("%s: %s: %v", c.now, name, err)
			}
		}
	}
	// A new authority every six years and eight months, with a year of weekly
	// reminders.
	if len(authorities) != 3 || reminders < 3*51 || reminders > 3*54 {
		t.Errorf("%d reminders of %v", reminders, authorities)
	}
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t)
	if _, err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	c.now = epoch.Add(243 * day)
	c.expect(authorityLeft, serverSecret+leftFirstYear, peerSecret+leftFirstYear, clientSecret+leftFirstYear)
	c.remove(PeerSecret)
	c.now = epoch.Add(244 * day)
	c.expect(authorityLeft, serverSecret+renewed, peerSecret+"created, ", clientSecret+renewed)
	c.now = epoch.Add(10 * year * 2 / 3)
	c.expect(authorityMade, serverSecret+"renewed because it has expired", peerSecret+"renewed", clientSecret+"renewed",
		restartMembers+"2037-")
}

// TestLostAuthority deletes the authority's Secret. Running members must still trust
// each other.
func TestLostAuthority(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t)
	if _, err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	before := c.secret(ServerSecret)
	c.remove(AuthoritySecret)
	c.now = epoch.Add(10 * day)
	c.expect(authorityMade, serverSecret+withAuthority, peerSecret+withAuthority, clientSecret+withAuthority, restartMembers)
	after := c.secret(ServerSecret)
	if !bytes.Equal(before.Data["tls.crt"], after.Data["tls.crt"]) || !bytes.Contains(after.Data["ca.crt"], before.Data["ca.crt"]) {
		t.Error("a valid certificate of the old authority was replaced")
	}
	c.verify(ServerSecret, ClientSecret, "portolan-etcd", x509.ExtKeyUsageServerAuth)
}

func TestLeftAlone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		secret string
		change func(*corev1.Secret)
		want   string
	}{
		"cert-manager's": {PeerSecret, func(s *corev1.Secret) { s.Annotations = map[string]string{"cert-manager.io/certificate-name": "x"} },
			"secret portolan/portolan-etcd-peer belongs to cert-manager, which renews it"},
		"an invalid certificate": {ServerSecret, func(s *corev1.Secret) { s.Data["tls.crt"] = []byte("x") },
			"secret portolan/portolan-etcd-server can't be used: delete it to have it created again: certificate: "},
		"another key": {ClientSecret, func(s *corev1.Secret) { s.Data["tls.key"] = nil },
			"secret portolan/portolan-etcd-client can't be used: delete it to have it created again: key: "},
		"an invalid authority": {AuthoritySecret, func(s *corev1.Secret) { s.Data["ca.crt"] = nil },
			"secret portolan/portolan-etcd-ca can't be used: delete it to have it created again: certificate: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTestCluster(t)
			if _, err := c.ensure(); err != nil {
				t.Fatal(err)
			}
			changed := c.secret(test.secret)
			test.change(changed)
			c.update(changed)
			c.now = epoch.Add(300 * day)
			if progress, err := c.ensure(); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%v\n%s", err, progress)
			}
			if after := c.secret(test.secret); !after.DeepCopy().ObjectMeta.CreationTimestamp.Equal(&changed.CreationTimestamp) ||
				!bytes.Equal(after.Data["tls.crt"], changed.Data["tls.crt"]) {
				t.Error("it was overwritten")
			}
		})
	}
}

func (c *testCluster) list() []corev1.Secret {
	c.t.Helper()
	list, err := c.client.CoreV1().Secrets("portolan").List(c.t.Context(), metav1.ListOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return list.Items
}

// others returns the Secrets as another run of Ensure would write them now.
func (c *testCluster) others() []corev1.Secret {
	c.t.Helper()
	other := newTestCluster(c.t)
	other.now = c.now
	other.replace(c.list())
	if _, err := other.ensure(); err != nil {
		c.t.Fatal(err)
	}
	return other.list()
}

// replace stores Secrets without the client, so that no reactor sees it.
func (c *testCluster) replace(secrets []corev1.Secret) {
	for i := range secrets {
		resource := corev1.SchemeGroupVersion.WithResource("secrets")
		err := c.client.Tracker().Create(resource, &secrets[i], "portolan")
		if apierrors.IsAlreadyExists(err) {
			err = c.client.Tracker().Update(resource, &secrets[i], "portolan")
		}
		if err != nil {
			c.t.Error(err)
		}
	}
}

// TestRaces makes another run write each Secret first.
func TestRaces(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"create", "update"} {
		for _, name := range []string{AuthoritySecret, ServerSecret, ClientSecret} {
			t.Run(verb+" "+name, func(t *testing.T) {
				t.Parallel()
				c := newTestCluster(t)
				if verb == "update" {
					if _, err := c.ensure(); err != nil {
						t.Fatal(err)
					}
					c.now = epoch.Add(10 * year * 2 / 3)
				}
				others := c.others()
				lost := false
				c.client.PrependReactor(verb, "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
					written := action.(clienttesting.CreateAction).GetObject().(*corev1.Secret)
					if lost || written.Name != name {
						return false, nil, nil
					}
					lost = true
					c.replace(others)
					resource := action.GetResource().GroupResource()
					if verb == "create" {
						return true, nil, apierrors.NewAlreadyExists(resource, name)
					}
					return true, nil, apierrors.NewConflict(resource, name, nil)
				})
				if progress, err := c.ensure(); err != nil || !lost {
					t.Errorf("%v\n%s", err, progress)
				}
				for _, name := range []string{ServerSecret, PeerSecret} {
					c.verify(name, ClientSecret, "portolan-etcd", x509.ExtKeyUsageServerAuth)
				}
				c.verify(ClientSecret, PeerSecret, "", x509.ExtKeyUsageClientAuth)
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
