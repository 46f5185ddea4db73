package flowcontrol

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
	fcrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"
	"k8s.io/client-go/tools/cache"

	"github.com/portolan-dev/portolan/pkg/users"
)

// TestLevels asks the framework for the priority level of a request. The framework has no
// client, so it panics if it writes a status.
func TestLevels(t *testing.T) {
	t.Parallel()
	factory := NewInformers()
	controller := utilflowcontrol.New(factory, nil, 100)
	factory.StartWithContext(t.Context())
	if !cache.WaitForCacheSync(t.Context().Done(), factory.Flowcontrol().V1().FlowSchemas().Informer().HasSynced) {
		t.Fatal("not synced")
	}
	go func() { _ = controller.Run(t.Context().Done()) }()
	level := func(verb, path string, groups ...string) string {
		req := httptest.NewRequest(http.MethodGet, path, nil)
		factory := &apirequest.RequestInfoFactory{}
		info, err := factory.NewRequestInfo(req)
		if err != nil {
			t.Fatal(err)
		}
		info.Verb = verb
		var name string
		controller.Handle(context.Background(),
			utilflowcontrol.RequestDigest{RequestInfo: info, User: &user.DefaultInfo{Name: "u", Groups: groups}},
			func(_ *flowcontrolv1.FlowSchema, level *flowcontrolv1.PriorityLevelConfiguration, _ string) {
				name = level.Name
			},
			func() fcrequest.WorkEstimate { return fcrequest.WorkEstimate{InitialSeats: 1} },
			func(bool) {}, func() {})
		return name
	}
	known := []string{user.AllAuthenticated}
	for _, test := range []struct {
		name, path string
		groups     []string
		want       string
	}{
		{"an administrator", "/x", append(known, user.SystemPrivilegedGroup), "exempt"},
		{"a health check", "/livez", []string{user.AllUnauthenticated}, "exempt"},
		{"part of a health check", "/readyz/etcd", []string{user.AllUnauthenticated}, "exempt"},
		{"a writer", "/x", append(known, users.Writers), "workload-high"},
		{"a reader", "/x", append(known, users.Readers), "workload-low"},
		{"a reader and writer", "/x", append(known, users.Readers, users.Writers), "workload-high"},
		{"another user", "/x", known, "global-default"},
		{"an anonymous caller", "/x", []string{user.AllUnauthenticated}, "global-default"},
	} {
		var got string
		err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, wait.ForeverTestTimeout, true, func(context.Context) (bool, error) {
			got = level("get", test.path, test.groups...)
			return got == test.want, nil
		})
		if err != nil {
			t.Errorf("%s is on the level %s, want %s", test.name, got, test.want)
		}
	}
}
