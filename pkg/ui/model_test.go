package ui

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/occupancy"
)

func cidrs(names ...string) occupancy.Objects {
	var objs occupancy.Objects
	for _, name := range names {
		objs.Ranges = append(objs.Ranges, &v1.ServiceCIDR{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.ServiceCIDRSpec{CIDRs: []string{"10.0.0.0/24"}},
		})
	}
	return objs
}

// shows returns the names of the ranges that a model has, and its problems.
func shows(model *Model) (text string) {
	state, _ := model.State()
	for _, r := range state.Search("r").Ranges {
		text += r.Name + " "
	}
	for _, problem := range state.Problems {
		text += problem.Kind + ": " + problem.Message
		if problem.Since.IsZero() {
			text += " (nothing)"
		}
	}
	return text
}

// TestModelKeepsKindsApart lets one kind fail while the other is shown.
func TestModelKeepsKindsApart(t *testing.T) {
	t.Parallel()
	model := NewModel(occupancy.Kinds()[:2]...)
	model.set(0, cidrs("r1"))
	if answered, err := model.answered(); answered || err != nil {
		t.Errorf("one of two kinds: answered is %v, %v", answered, err)
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "nodeportranges"}, "", nil)
	steps := []struct {
		change func()
		want   string
	}{
		{func() { model.fail(1, forbidden) }, "r1 NodePortRange: nodeportranges is forbidden: <nil> (nothing)"},
		{func() {
			ports := &v1.NodePortRange{ObjectMeta: metav1.ObjectMeta{Name: "r2"}, Spec: v1.NodePortRangeSpec{Ports: []string{"30000"}}}
			model.set(1, occupancy.Objects{Ranges: []runtime.Object{ports}})
		}, "r1 r2 "},
		// A server that does not answer leaves what it said last.
		{func() { model.fail(0, errors.New("refused")) }, "r1 r2 ServiceCIDR: refused"},
		{func() { model.set(0, cidrs("r1", "r3")) }, "r1 r3 r2 "},
		// What the user may no longer see is not shown.
		{func() { model.fail(0, apierrors.NewUnauthorized("expired")) }, "r2 ServiceCIDR: expired (nothing)"},
	}
	for i, step := range steps {
		before, changed := model.State()
		step.change()
		if got := shows(model); got != step.want {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
		if after, _ := model.State(); after.Version <= before.Version {
			t.Errorf("step %d: the version is %d after %d", i, after.Version, before.Version)
		}
		<-changed
	}
	model.fail(1, forbidden)
	if answered, err := model.answered(); !answered || err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("no kind can be read: answered is %v, %v", answered, err)
	}
}

// TestEvents reads a stream: the present state first, and each that follows.
func TestEvents(t *testing.T) {
	t.Parallel()
	model := filled()
	server, err := Listen(t.Context(), "127.0.0.1", 0, "https://server", model)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL()+"api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	next := func() (news status) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &news); err != nil {
					t.Fatal(err)
				}
				return news
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return news
	}
	first := next()
	if first.Target != "https://server" || len(first.Problems) > 0 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("the first event is %v, of type %q", first, response.Header.Get("Content-Type"))
	}
	model.fail(0, errors.New("refused"))
	if second := next(); second.Version <= first.Version || len(second.Problems) != 1 || second.Problems[0].Message != "refused" {
		t.Errorf("after %v came %v", first, second)
	}
	// An open stream does not keep the server from ending.
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}
