package servingsecret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

const (
	namespace = "portolan"
	secret    = "portolan-serving"
	service   = "portolan"

	day = 24 * time.Hour
)

var (
	epoch       = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	shortPolicy = certificates.Policy{Authority: 90 * day, Certificate: 9 * day, Publish: 2 * day}
)

// cluster is a fake cluster with two objects and an API server that rejects writes
// with an old resource version. It is the transport of a Keeper's clients, so that a
// test can act between the Keeper's requests.
type cluster struct {
	t *testing.T
	// secret and apiService are nil if there is none.
	secret     *corev1.Secret
	apiService *unstructured.Unstructured
	version    int
	requests   []string
	// before is called before each request is answered, and after when it was. If
	// before returns a status, that is the answer.
	before func(*http.Request) (status int)
	after  func()
}

func newCluster(t *testing.T) *cluster {
	return &cluster{t: t, apiService: apiService("portolan", "portolan"), before: func(*http.Request) int { return 0 }, after: func() {}}
}

func apiService(namespace, name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": apiServiceName, "resourceVersion": "1"},
		"spec":     map[string]any{"group": "portolan.dev", "service": map[string]any{"namespace": namespace, "name": name}},
	}}
}

func (c *cluster) config(policy certificates.Policy, clock *testingclock.FakeClock) Config {
	config, err := NewConfig(&rest.Config{Host: "http://cluster", Transport: c, QPS: -1,
		ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeJSON}},
		namespace, secret, service)
	if err != nil {
		c.t.Fatal(err)
	}
	config.Policy, config.Clock = policy, clock
	return config
}

func (c *cluster) caBundle() []byte {
	if c.apiService == nil {
		return nil
	}
	return parseRegistration(c.apiService, namespace, service).caBundle
}

// RoundTrip implements http.RoundTripper.
func (c *cluster) RoundTrip(req *http.Request) (*http.Response, error) {
	status, body := c.before(req), any(nil)
	if status == 0 {
		c.requests = append(c.requests, req.Method+" "+path.Base(path.Dir(req.URL.Path))+"/"+path.Base(req.URL.Path))
		status, body = c.answer(req)
		c.after()
	}
	if status >= 300 {
		reason := map[int]metav1.StatusReason{404: metav1.StatusReasonNotFound, 403: metav1.StatusReasonForbidden}[status]
		if status == 409 && req.Method == http.MethodPost {
			reason = metav1.StatusReasonAlreadyExists
		} else if status == 409 {
			reason = metav1.StatusReasonConflict
		}
		body = &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(status),
			Reason: reason, Message: fmt.Sprint("status ", status)}
	}
	data, err := json.Marshal(body)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(data)), Request: req,
	}, err
}

func (c *cluster) answer(req *http.Request) (int, any) {
	var data []byte
	if req.Body != nil {
		var err error
		if data, err = io.ReadAll(req.Body); err != nil {
			c.t.Fatal(err)
		}
	}
	c.version++
	next := fmt.Sprint(c.version)
	switch {
	case strings.HasSuffix(req.URL.Path, "/apiservices/"+apiServiceName):
		return c.answerAPIService(req.Method, data, next)
	case req.Method == http.MethodPost && c.secret != nil:
		return 409, nil
	case req.Method != http.MethodPost && c.secret == nil:
		return 404, nil
	case req.Method == http.MethodGet:
		return 200, c.secret
	}
	var written corev1.Secret
	if err := json.Unmarshal(data, &written); err != nil {
		c.t.Fatal(err)
	}
	if c.secret != nil && c.secret.ResourceVersion != written.ResourceVersion {
		return 409, nil
	}
	written.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
	written.ResourceVersion = next
	c.secret = &written
	return 200, c.secret
}

func (c *cluster) answerAPIService(method string, data []byte, next string) (int, any) {
	if c.apiService == nil {
		return 404, nil
	}
	if method == http.MethodGet {
		return 200, c.apiService
	}
	var patch unstructured.Unstructured
	if err := json.Unmarshal(data, &patch.Object); err != nil {
		c.t.Fatal(err)
	}
	if patch.GetResourceVersion() != c.apiService.GetResourceVersion() {
		return 409, nil
	}
	bundle, _, err := unstructured.NestedString(patch.Object, "spec", "caBundle")
	if err != nil {
		c.t.Fatal(err)
	}
	changed := c.apiService.DeepCopy()
	if err := unstructured.SetNestedField(changed.Object, bundle, "spec", "caBundle"); err != nil {
		c.t.Fatal(err)
	}
	changed.SetResourceVersion(next)
	c.apiService = changed
	return 200, changed
}

// writes returns the requests since the last call, without those that only read.
func (c *cluster) writes() []string {
	made := slices.DeleteFunc(c.requests, func(r string) bool { return strings.HasPrefix(r, "GET ") })
	c.requests = nil
	return made
}
