package requeststate

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

func TestBegin(t *testing.T) {
	const strategic = "application/strategic-merge-patch+json"
	for name, test := range map[string]struct {
		method, contentType string
		want                bool
	}{
		"strategic merge patch":   {http.MethodPatch, strategic, true},
		"its type with a charset": {http.MethodPatch, strategic + "; charset=utf-8", true},
		"merge patch":             {http.MethodPatch, "application/merge-patch+json", false},
		"no type":                 {http.MethodPatch, "", false},
		"no patch":                {http.MethodPut, strategic, false},
	} {
		req := httptest.NewRequest(test.method, "/", nil)
		req.Header.Set("Content-Type", test.contentType)
		served := false
		Begin(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			served = true
			state := From(req.Context())
			if state.StrategicPatch != test.want || state.Unavailable == nil || state.Picks != nil || state.DryRun {
				t.Errorf("%s: %+v", name, state)
			}
		})).ServeHTTP(httptest.NewRecorder(), req)
		if !served {
			t.Errorf("%s was not served", name)
		}
	}
}

func TestContextsKeepTheirState(t *testing.T) {
	ctx := t.Context()
	if state := From(ctx); state != (State{}) {
		t.Errorf("without a request: %+v", state)
	}
	picked, picks := NewPicks(ctx, allocation.New(time.Now))
	dry := WithDryRun(picked)
	if From(picked).DryRun || !From(dry).DryRun {
		t.Error("a dry run is not that of its context alone")
	}
	if From(dry).Picks != picks {
		t.Error("a dry run has no picks")
	}
}
