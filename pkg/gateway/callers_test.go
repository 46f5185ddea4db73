package gateway

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

// credential is the header of the hash that the framework adds to users of certificates.
const credential = "X-Remote-Extra-Authentication.kubernetes.io%2fcredential-Id"

// seen is what kube-apiserver sees of who sends a request.
type seen struct {
	Certificate string
	Header      http.Header
}

func see(w http.ResponseWriter, req *http.Request) {
	var got seen
	if len(req.TLS.PeerCertificates) > 0 {
		got.Certificate = req.TLS.PeerCertificates[0].Subject.CommonName
	}
	got.Header = http.Header{}
	for name, values := range req.Header {
		if slices.Contains([]string{"Authorization", "User-Agent", "X-User"}, name) || strings.HasPrefix(name, "X-Remote") ||
			strings.HasPrefix(name, "Impersonate") {
			slices.Sort(values)
			if name == credential && len(values) == 1 && strings.HasPrefix(values[0], "X509SHA256=") {
				values = []string{"X509SHA256"}
			}
			got.Header[name] = values
		}
	}
	_ = json.NewEncoder(w).Encode(got)
}

// spoofed are headers that a client is not believed.
func spoofed() http.Header {
	return http.Header{
		"X-Remote-User": {"root"}, "X-Remote-Group": {"system:masters"}, "X-Remote-Uid": {"0"}, "X-Remote-Extra-Scopes": {"all"},
		"X-User": {"root"}, "User-Agent": {"kubectl"},
	}
}

func with(header http.Header, more http.Header) http.Header {
	maps.Copy(header, more)
	return header
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	g := start(t, true, see)
	vera := issue(t, g.users, "vera", "dev", "ops")
	stranger := issue(t, authority(t, "strangers"), "vera")
	front := issue(t, g.fronts, frontName)
	// The users' authority has not signed it, and the name is not a front proxy's.
	posing := issue(t, g.fronts, "posing")
	token, basic := http.Header{"Authorization": {"Bearer abc"}}, http.Header{"Authorization": {"Basic YTpi"}}
	veras := http.Header{"X-Remote-User": {"vera"}, "X-Remote-Group": {"dev", "ops"}, credential: {"X509SHA256"}}
	for name, test := range map[string]struct {
		cert        certificates.Pair
		header      http.Header
		code        int
		certificate string
		want        http.Header
	}{
		"nobody":             {code: 200, want: http.Header{}},
		"nobody, spoofed":    {header: spoofed(), code: 200, want: http.Header{}},
		"a token":            {header: token, code: 200, want: token},
		"a token, spoofed":   {header: with(spoofed(), token), code: 200, want: token},
		"no bearer token":    {header: basic, code: 200, want: basic},
		"a certificate":      {cert: vera, code: 200, certificate: "portolan", want: veras},
		"the same, spoofed":  {cert: vera, header: spoofed(), code: 200, certificate: "portolan", want: veras},
		"both, and a token":  {cert: vera, header: token, code: 200, certificate: "portolan", want: veras},
		"a stranger":         {cert: stranger, code: 401},
		"stranger and token": {cert: stranger, header: token, code: 200, want: token},
		"a front proxy": {
			cert: front, header: http.Header{"X-Remote-User": {"ann"}, "X-Remote-Group": {"dev"}, "X-Remote-Extra-A%2fb": {"c"}},
			code: 200, certificate: "portolan",
			want: http.Header{"X-Remote-User": {"ann"}, "X-Remote-Group": {"dev"}, "X-Remote-Extra-A%2fb": {"c"}},
		},
		"a front proxy that names nobody": {cert: front, code: 401},
		"nobody's front proxy":            {cert: posing, header: spoofed(), code: 401},
		"impersonation": {
			cert: vera, header: http.Header{"Impersonate-User": {"ned"}, "Impersonate-Group": {"x"}}, code: 200, certificate: "portolan",
			want: with(http.Header{"Impersonate-User": {"ned"}, "Impersonate-Group": {"x"}}, veras),
		},
		"impersonation by token": {
			header: with(http.Header{"Impersonate-User": {"ned"}}, token), code: 200,
			want: with(http.Header{"Impersonate-User": {"ned"}}, token),
		},
		"headers that the connection ends": {
			cert: vera, header: http.Header{"Connection": {"X-Remote-User, X-Remote-Group"}}, code: 200, certificate: "portolan", want: veras,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := g.client(test.cert)
			if test.header.Get("Connection") != "" {
				// HTTP/2 has no such header.
				withHTTP1(client)
			}
			header := with(http.Header{"User-Agent": {"kubectl"}}, test.header)
			response, err := client.Do(g.request(http.MethodGet, pods, header))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != test.code {
				t.Fatalf("got %s", response.Status)
			}
			if test.code != http.StatusOK {
				return
			}
			var got seen
			if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			want := with(http.Header{"User-Agent": {"kubectl"}}, test.want)
			if got.Certificate != test.certificate || !maps.EqualFunc(got.Header, want, slices.Equal) {
				t.Errorf("kube-apiserver sees %v, not %q %v", got, test.certificate, want)
			}
		})
	}
}

// TestNoPair has users of certificates, and no certificate to name them with.
func TestNoPair(t *testing.T) {
	t.Parallel()
	g := start(t, false, see)
	vera := g.client(issue(t, g.users, "vera"))
	response, err := vera.Do(g.request(http.MethodGet, pods, nil))
	if err != nil {
		t.Fatal(err)
	}
	status := statusOf(t, response)
	if status.Code != http.StatusUnauthorized || status.Reason != metav1.StatusReasonUnauthorized ||
		!strings.Contains(status.Message, `"vera"`) || !strings.Contains(status.Message, "--proxy-client-cert-file") {
		t.Errorf("got %v", status)
	}
	// A token does not help: kube-apiserver would go by the certificate as well.
	response, err = vera.Do(g.request(http.MethodGet, pods, http.Header{"Authorization": {"Bearer abc"}}))
	if err != nil {
		t.Fatal(err)
	}
	if status := statusOf(t, response); status.Code != http.StatusUnauthorized {
		t.Errorf("with a token: %v", status)
	}
	for name, header := range map[string]http.Header{"nobody": {}, "a token": {"Authorization": {"Bearer abc"}}} {
		response, err := g.client(certificates.Pair{}).Do(g.request(http.MethodGet, pods, header))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, response.Status)
		}
	}
}

// statusOf reads an answer that is a Status.
func statusOf(t *testing.T, response *http.Response) metav1.Status {
	t.Helper()
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var status metav1.Status
	if err := json.Unmarshal(data, &status); err != nil || status.Kind != "Status" || int(status.Code) != response.StatusCode {
		t.Errorf("%s is no Status: %s", response.Status, data)
	}
	return status
}
