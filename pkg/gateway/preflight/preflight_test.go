package preflight

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/pkg/gateway"
)

func authority(t *testing.T, name string) certificates.Pair {
	t.Helper()
	pair, err := certificates.NewAuthority(name, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func issue(t *testing.T, authority certificates.Pair, name string) certificates.Pair {
	t.Helper()
	pair, err := authority.Issue(x509.Certificate{
		Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// TestRejection has certificates that kube-apiserver's flags do not match.
func TestRejection(t *testing.T) {
	t.Parallel()
	fronts, others := authority(t, "fronts"), authority(t, "others")
	published := func(names string) map[string]string {
		return map[string]string{authoritiesKey: string(certificates.EncodeCerts(fronts.Cert)), namesKey: names}
	}
	for name, test := range map[string]struct {
		signer    certificates.Pair
		published map[string]string
		want      string
	}{
		"in order":          {fronts, published(`["front","other"]`), ""},
		"any name":          {fronts, published(`[]`), ""},
		"another name":      {fronts, published(`["other","third"]`), `its common name "front" is not among kube-apiserver's --requestheader-allowed-names (other, third)`},
		"another authority": {others, published(`["front"]`), `its issuer "others" is not in kube-apiserver's --requestheader-client-ca-file`},
		"no front proxy":    {fronts, nil, "kube-apiserver has no --requestheader-client-ca-file"},
	} {
		got := rejection([]*x509.Certificate{issue(t, test.signer, "front").Cert}, test.published)
		if !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestOverlaps compares ranges of both families.
func TestOverlaps(t *testing.T) {
	t.Parallel()
	ranges := func(texts ...string) (all []namedRange) {
		for _, text := range texts {
			all = append(all, namedRange{"r", netip.MustParsePrefix(text)})
		}
		return all
	}
	for _, test := range []struct {
		ours, theirs []namedRange
		want         int
	}{
		{ranges("10.96.0.0/12"), ranges("10.96.0.0/12"), 1},
		{ranges("10.96.0.0/12", "fd00::/112"), ranges("10.100.0.0/16", "fd00::/108"), 2},
		{ranges("10.96.0.0/16"), ranges("10.97.0.0/16", "fd00::/112"), 0},
		{ranges("10.96.0.0/16"), nil, 0},
	} {
		if got := overlaps(test.ours, test.theirs); len(got) != test.want {
			t.Errorf("%v and %v: %q", test.ours, test.theirs, got)
		}
	}
}

// accepts is a Front whose verdicts are in a channel; the last one stays.
type accepts struct{ verdicts []error }

func (a *accepts) HasFront() bool { return true }

func (a *accepts) VerifyFront(context.Context) error {
	verdict := a.verdicts[0]
	if len(a.verdicts) > 1 {
		a.verdicts = a.verdicts[1:]
	}
	return verdict
}

// TestFrontCheck ends the server for a certificate that was never accepted, and not for
// one that was.
func TestFrontCheck(t *testing.T) {
	t.Parallel()
	fronts := authority(t, "fronts")
	file := filepath.Join(t.TempDir(), "crt")
	if err := os.WriteFile(file, certificates.EncodeCerts(issue(t, fronts, "front").Cert), 0o600); err != nil {
		t.Fatal(err)
	}
	client := fake.NewClientset(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: authenticationConfigMap},
		Data: map[string]string{
			authoritiesKey: string(certificates.EncodeCerts(authority(t, "others").Cert)),
		},
	})
	unreachable := errors.New("no answer")
	c := Config{Client: client, CertFile: file, Front: &accepts{[]error{unreachable, nil, &gateway.RejectedError{}}}}
	check := c.frontCheck()
	if err := check(t.Context()); !errors.Is(err, unreachable) {
		t.Errorf("without an answer: %v", err)
	}
	if err := check(t.Context()); err != nil {
		t.Errorf("accepted: %v", err)
	}
	if _, found := errors.AsType[finding](check(t.Context())); !found {
		t.Error("a certificate that was accepted before ends the server, or goes unnoticed")
	}
	c.Front = &accepts{[]error{&gateway.RejectedError{As: "admin"}}}
	err := c.frontCheck()(t.Context())
	if _, fatal := errors.AsType[fatalError](err); !fatal || !strings.Contains(err.Error(), `"admin"`) ||
		!strings.Contains(err.Error(), `its issuer "fronts"`) || !strings.Contains(err.Error(), "--proxy-client-key-file") {
		t.Errorf("a certificate that was never accepted: %v", err)
	}
}

// TestFindings has a user without some rights and ranges of both sides that overlap.
func TestFindings(t *testing.T) {
	t.Parallel()
	cidr := &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/12"}},
	}
	client := fake.NewClientset(cidr)
	client.PrependReactor("create", "selfsubjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview).DeepCopy()
		review.Status.Allowed = review.Spec.ResourceAttributes.Verb != "watch"
		return true, review, nil
	})
	attributes := func(verb, group, resource, name string) authorizationv1.ResourceAttributes {
		return authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Name: name, Namespace: "n"}
	}
	c := Config{Client: client, Own: fake.NewClientset(cidr), Rights: []UserRights{{"kubeconfig", client, []Right{
		{attributes("list", "", "pods", ""), "a"}, {attributes("watch", "", "pods", ""), "a"},
		{attributes("watch", "x.io", "things", "one"), "b"},
	}}}}
	err := c.checkRights(t.Context())
	const want = "the user of --kubeconfig lacks rights: watch pods in n (for a); watch things.x.io/one in n (for b); "
	if _, found := errors.AsType[finding](err); !found || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("rights: %v", err)
	}
	err = c.checkRanges(t.Context())
	if _, found := errors.AsType[finding](err); !found || !strings.Contains(err.Error(), "10.96.0.0/12 of the ServiceCIDR kubernetes") {
		t.Errorf("ranges: %v", err)
	}
	cidr.Spec.CIDRs[0] = "10.112.0.0/12"
	c.Own = fake.NewClientset(cidr)
	if err := c.checkRanges(t.Context()); err != nil {
		t.Errorf("other ranges: %v", err)
	}
}

// TestRun ends for a loop, and not while the cluster does not answer.
func TestRun(t *testing.T) {
	t.Parallel()
	loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusLoopDetected) }))
	defer loop.Close()
	if err := Run(t.Context(), Config{Cluster: &rest.Config{Host: loop.URL}}); !errors.Is(err, gateway.ErrLoop) {
		t.Errorf("a loop: %v", err)
	}
	loop.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := Run(ctx, Config{Cluster: &rest.Config{Host: loop.URL}}); err != nil {
		t.Errorf("no answer: %v", err)
	}
}
