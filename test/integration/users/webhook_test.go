package users

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	webhookKubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: hook, cluster: {server: %q}}]
contexts: [{name: hook, context: {cluster: hook}}]
current-context: hook
`
	webhookFormat = `- type: Webhook
  name: hook
  webhook:
    timeout: 10s
    authorizedTTL: 1ms
    unauthorizedTTL: 1ms
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: Deny
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: %q}
    matchConditions:
    - expression: has(request.resourceAttributes)
    - expression: request.user != "mallory"
`
	groupsAuthorizer = "- {type: Groups, name: groups}\n"
)

// hook is a webhook that lets ann list what bob is denied.
type hook struct {
	file string
	// asked counts what it was asked, forMallory what about her.
	asked, forMallory atomic.Int32
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{file: filepath.Join(t.TempDir(), "kubeconfig")}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(req.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		h.asked.Add(1)
		switch review.Spec.User {
		case "ann":
			review.Status.Allowed = review.Spec.ResourceAttributes.Verb == "list"
		case "bob":
			review.Status.Denied, review.Status.Reason = true, "bob may not"
		case "mallory":
			h.forMallory.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	writeFile(t, h.file, fmt.Sprintf(webhookKubeconfig, server.URL))
	return h
}

func authorization(authorizers string) string {
	return "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n" + authorizers
}

// TestWebhook has a webhook asked before the groups count, as a configuration says
// that changes.
func TestWebhook(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	dir := t.TempDir()
	tokens, file := filepath.Join(dir, "tokens.csv"), filepath.Join(dir, "authorization.yaml")
	writeFile(t, tokens, fmt.Sprintf("ann,ann,1\nbob,bob,2,%[1]s\nmallory,mallory,3\nwill,will,4,%[1]s\nroot,root,5,system:masters\n",
		users.Writers))
	writeFile(t, file, authorization(fmt.Sprintf(webhookFormat, h.file)+groupsAuthorizer))
	s := framework.Start(t, func(o *options.Options) { o.Users.TokenAuthFile, o.Users.AuthorizationConfig = tokens, file })
	expect := func(name string, list, create int) {
		t.Helper()
		c := caller{t, s, name}
		if gotList, gotCreate := c.list(), c.create(); gotList != list || gotCreate != create {
			t.Errorf("%s: list %d, create %d, want %d and %d", name, gotList, gotCreate, list, create)
		}
	}
	expect("root", 200, 200)
	if n := h.asked.Load(); n != 0 {
		t.Errorf("it was asked %d times about a master", n)
	}
	expect("ann", 200, 403)
	// It is denied what the groups would allow, and others are left to those.
	expect("bob", 403, 403)
	expect("will", 200, 200)
	expect("mallory", 403, 403)
	if h.asked.Load() == 0 || h.forMallory.Load() != 0 {
		t.Errorf("it was asked %d times, %d times about mallory", h.asked.Load(), h.forMallory.Load())
	}

	// What is wrong changes nothing.
	writeFile(t, file, authorization("- {type: RBAC, name: rbac}\n"))
	expect("ann", 200, 403)
	writeFile(t, file, authorization(groupsAuthorizer))
	framework.Await(t, "the groups alone count", func(context.Context) (bool, error) { return caller{t, s, "bob"}.list() == 200, nil })
	expect("ann", 403, 403)
	expect("will", 200, 200)
}

// TestUnreachableWebhook wants a 503 while a webhook is down, and
// not where it is.
func TestUnreachableWebhook(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"Deny", "NoOpinion"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			kubeconfig, tokens, file := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "tokens.csv"), filepath.Join(dir, "authorization.yaml")
			const address = "127.0.0.1:1"
			writeFile(t, kubeconfig, fmt.Sprintf(webhookKubeconfig, "http://"+address))
			writeFile(t, tokens, "ann,ann,1\nroot,root,2,system:masters\n")
			webhook := strings.Replace(fmt.Sprintf(webhookFormat, kubeconfig), "failurePolicy: Deny", "failurePolicy: "+policy, 1)
			writeFile(t, file, authorization(webhook))
			s := framework.Start(t, func(o *options.Options) { o.Users.TokenAuthFile, o.Users.AuthorizationConfig = tokens, file })

			ann := clientOf(t, s.As(&rest.Config{BearerToken: "ann"}))
			_, err := ann.PortolanV1().Services("default").List(t.Context(), metav1.ListOptions{})
			if !apierrors.IsServiceUnavailable(err) || strings.Contains(err.Error(), address) {
				t.Errorf("got %v", err)
			}
			if seconds, ok := apierrors.SuggestsClientDelay(err); !ok || seconds != 1 {
				t.Errorf("try again in %d seconds: %t", seconds, ok)
			}
			root := clientOf(t, s.As(&rest.Config{BearerToken: "root"}))
			if _, err := root.PortolanV1().Services("default").List(t.Context(), metav1.ListOptions{}); err != nil {
				t.Errorf("masters depend on it: %v", err)
			}
		})
	}
}
