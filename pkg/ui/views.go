package ui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/portolan-dev/portolan/pkg/occupancy"
)

// views answers what the page asks, each from one state of the model.
type views struct {
	model  *Model
	target string
}

// view returns what is shown for the parameters of a request. Its errors are the client's.
type view func(state State, get func(string) string) (any, error)

func (v views) register(mux *http.ServeMux) {
	for name, answer := range map[string]view{
		"ranges": rangesView, "range": rangeView, "holder": holderView, "search": searchView,
	} {
		mux.HandleFunc("GET /api/"+name, func(w http.ResponseWriter, r *http.Request) {
			state, _ := v.model.State()
			body, err := answer(state, r.URL.Query().Get)
			if err != nil {
				writeJSON(w, http.StatusNotFound, map[string]string{"error": err.Error()})
				return
			}
			writeJSON(w, http.StatusOK, body)
		})
	}
	mux.HandleFunc("GET /api/events", v.serveEvents)
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// The client is gone if this fails.
	_ = json.NewEncoder(w).Encode(body)
}

func rangesView(state State, _ func(string) string) (any, error) {
	const most = 50
	outside := state.Outside()
	return map[string]any{
		"ranges": state.Overview(time.Now()), "outside": outside[:min(len(outside), most)], "outsideCount": len(outside),
	}, nil
}

func rangeView(state State, get func(string) string) (any, error) {
	kind, name, at := get("kind"), get("name"), get("at")
	if at == "" {
		return state.Range(kind, name, get("namespace"), time.Now())
	}
	depth := -1
	if text := get("depth"); text != "" {
		var err error
		if depth, err = strconv.Atoi(text); err != nil || depth < 0 {
			return nil, fmt.Errorf("depth must be a number that is not negative, not %q", text)
		}
	}
	return state.Part(kind, name, occupancy.PartOptions{At: at, Depth: depth, Namespace: get("namespace")}, time.Now())
}

func holderView(state State, get func(string) string) (any, error) {
	holder := occupancy.Holder{Resource: get("resource"), Namespace: get("namespace"), Name: get("name")}
	return map[string]any{"holder": holder, "claims": state.HeldBy(holder)}, nil
}

func searchView(state State, get func(string) string) (any, error) {
	return state.Search(get("q")), nil
}

// status is what an event tells.
type status struct {
	// Target is the server that the page is about.
	Target   string    `json:"target"`
	Version  int64     `json:"version"`
	Problems []Problem `json:"problems"`
}

// serveEvents sends an event for the present state, and for each one that follows while
// the client reads.
func (v views) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	response := http.NewResponseController(w)
	for {
		state, changed := v.model.State()
		data, err := json.Marshal(status{v.target, state.Version, state.Problems})
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil || response.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}
