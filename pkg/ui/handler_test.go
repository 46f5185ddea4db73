package ui

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/occupancy"
)

const token = "SECRET"

// filled returns a model with one range, in which the Service shop/web has an address.
func filled() *Model {
	model := NewModel(occupancy.Kinds()[0])
	objs := cidrs("r")
	web := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u"}}
	objs.Claims = []runtime.Object{v1.NewHeldAddress("10.0.0.7", web)}
	model.set(0, objs)
	return model
}

// ask sends a request and returns the answer.
func ask(t *testing.T, method, host, path string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8001"+path, nil)
	request.Host = host
	response := httptest.NewRecorder()
	newHandler(filled(), token, "https://server").ServeHTTP(response, request)
	return response
}

// TestHandlerAnswersItsUserOnly sends what other users, other pages and mistakes send.
func TestHandlerAnswersItsUserOnly(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, host, path string
		want               int
	}{
		{"GET", "127.0.0.1:8001", "/SECRET/", http.StatusOK},
		{"GET", "localhost:9999", "/SECRET/api/ranges", http.StatusOK},
		{"GET", "[::1]:8001", "/SECRET/api/ranges", http.StatusOK},
		{"GET", "::1", "/SECRET/api/ranges", http.StatusOK},
		{"GET", "127.0.0.1", "/SECRET", http.StatusFound},
		{"GET", "127.0.0.1", "/SECRET/nothing", http.StatusNotFound},
		{"GET", "127.0.0.1", "/SECRET/handler.go", http.StatusNotFound},
		{"GET", "127.0.0.1", "/SECRET/api/v1/secrets", http.StatusNotFound},
		{"GET", "127.0.0.1", "/SECRET/apis/portolan.dev/v1/services", http.StatusNotFound},

		{"GET", "127.0.0.1:8001", "/", http.StatusForbidden},
		{"GET", "127.0.0.1:8001", "/api/ranges", http.StatusForbidden},
		{"GET", "127.0.0.1:8001", "/SECRETS/api/ranges", http.StatusForbidden},
		{"GET", "127.0.0.1:8001", "/SECRE/api/ranges", http.StatusForbidden},
		{"GET", "127.0.0.1:8001", "//api/ranges", http.StatusForbidden},

		{"GET", "attacker.example:8001", "/SECRET/api/ranges", http.StatusMisdirectedRequest},
		{"GET", "127.0.0.1.attacker.example", "/SECRET/api/ranges", http.StatusMisdirectedRequest},
		{"GET", "localhost.attacker.example", "/SECRET/api/ranges", http.StatusMisdirectedRequest},
		{"GET", "192.0.2.1:8001", "/SECRET/api/ranges", http.StatusMisdirectedRequest},
		{"GET", "0.0.0.0:8001", "/SECRET/api/ranges", http.StatusMisdirectedRequest},
		{"GET", "", "/SECRET/api/ranges", http.StatusMisdirectedRequest},

		{"POST", "127.0.0.1", "/SECRET/api/ranges", http.StatusMethodNotAllowed},
		{"PUT", "127.0.0.1", "/SECRET/", http.StatusMethodNotAllowed},
		{"DELETE", "127.0.0.1", "/", http.StatusMethodNotAllowed},
		{"HEAD", "127.0.0.1", "/SECRET/", http.StatusMethodNotAllowed},
		{"OPTIONS", "127.0.0.1", "/SECRET/api/ranges", http.StatusMethodNotAllowed},
	} {
		response := ask(t, test.method, test.host, test.path)
		body := response.Body.String()
		if response.Code != test.want {
			t.Errorf("%s %s of %q: got %d, want %d", test.method, test.path, test.host, response.Code, test.want)
		}
		if isOK := response.Code == http.StatusOK; strings.Contains(body, "10.0.0.0/24") && !isOK {
			t.Errorf("%s %s of %q: the error has figures: %s", test.method, test.path, test.host, body)
		}
		if strings.Contains(body, token) && response.Code != http.StatusFound {
			t.Errorf("%s %s of %q: the body has the secret", test.method, test.path, test.host)
		}
		if policy := response.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") ||
			strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("%s %s: the policy is %q", test.method, test.path, policy)
		}
		if caching := response.Header().Get("Cache-Control"); response.Code == http.StatusOK && caching != "no-store" {
			t.Errorf("%s %s: Cache-Control is %q", test.method, test.path, caching)
		}
		for header, want := range map[string]string{
			"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		} {
			if got := response.Header().Get(header); got != want {
				t.Errorf("%s %s: %s is %q, want %q", test.method, test.path, header, got, want)
			}
		}
	}
}

// TestPageHasNoOtherOrigin looks for addresses of other servers in the files of the page,
// and for what its policy forbids.
func TestPageHasNoOtherOrigin(t *testing.T) {
	t.Parallel()
	entries, err := files.ReadDir("page")
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, entry := range entries {
		text, err := files.ReadFile("page/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		rest := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")
		for _, forbidden := range []string{"http://", "https://", "innerHTML", "<style", "style=", "onclick", "eval("} {
			if strings.Contains(rest, forbidden) {
				t.Errorf("%s has %q", entry.Name(), forbidden)
			}
		}
	}
}

func TestViews(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path string
		code int
		want []string
	}{
		{"ranges", http.StatusOK, []string{`"outside":[]`, `"name":"r"`, `"capacity":254`, `"cells":[`}},
		{"range?kind=ServiceCIDR&name=r", http.StatusOK, []string{`{"text":"10.0.0.7","allocated":1,"static":1,"claim":{"value":"10.0.0.7"`}},
		{"range?kind=ServiceCIDR&name=r&at=10.0.0.7&depth=0&namespace=shop", http.StatusOK, []string{`"marked":1`, `"text":"10.0.0.0/24"`}},
		{"range?kind=ServiceCIDR&name=none", http.StatusNotFound, []string{`{"error":"ServiceCIDR.portolan.dev \"none\" not found"}`}},
		{"range?kind=ServiceCIDR&name=r&at=10.0.1.7", http.StatusNotFound, []string{`{"error":"\"10.0.1.7\" is not a value of the range"}`}},
		{"range?kind=ServiceCIDR&name=r&at=x", http.StatusNotFound, []string{`not a value`}},
		{"range?kind=ServiceCIDR&name=r&at=10.0.0.7&depth=-1", http.StatusNotFound, []string{`depth must be`}},
		{"range?kind=ServiceCIDR&name=r&at=10.0.0.7&depth=999999999", http.StatusOK, []string{`"10.0.0.7"`}},
		{"holder?resource=services.portolan.dev&namespace=shop&name=web", http.StatusOK,
			[]string{`"claims":[{"value":"10.0.0.7"`, `"ranges":[{"kind":"ServiceCIDR","name":"r"}]`}},
		{"holder?resource=services.portolan.dev&namespace=shop&name=api", http.StatusOK, []string{`"claims":[]`}},
		{"search?q=10.0.0.7", http.StatusOK, []string{`"values":[{"value":"10.0.0.7","class":"IPv4"`, `"claimCount":1`}},
		{"search?q=hop%2Fwe", http.StatusOK, []string{`"holders":[{"holder":{"resource":"services.portolan.dev","namespace":"shop","name":"web"},"claims":1}]`}},
		{"search", http.StatusOK, []string{`"values":[]`, `"holderCount":0`}},
	} {
		response := ask(t, "GET", "localhost", "/"+token+"/api/"+test.path)
		body := response.Body.String()
		if response.Code != test.code || !json.Valid([]byte(body)) {
			t.Errorf("%s: got %d, want %d\n%s", test.path, response.Code, test.code, body)
		}
		for _, want := range test.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s: there is no %s in\n%s", test.path, want, body)
			}
		}
	}
}

func TestListenOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0", "::", "192.0.2.1", "localhost", "", "127.0.0.1:80"} {
		if _, err := Listen(t.Context(), address, 0, "", filled()); err == nil || !strings.Contains(err.Error(), "is not a loopback address") {
			t.Errorf("%q: got %v", address, err)
		}
	}
	one, err := Listen(t.Context(), "127.0.0.1", 0, "", filled())
	other, otherErr := Listen(t.Context(), "127.0.0.1", 0, "", filled())
	if err := errors.Join(err, otherErr); err != nil {
		t.Fatal(err)
	}
	defer one.listener.Close()
	defer other.listener.Close()
	const bits, bitsOfLetter = 128, 5
	if one.token == other.token || len(one.token)*bitsOfLetter < bits {
		t.Errorf("the secrets are %q and %q", one.token, other.token)
	}
}
