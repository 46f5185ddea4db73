package server

import (
	"fmt"
	"net/http"
)

// detail reports a problem that needs attention but does not make the server unready.
type detail struct {
	name string
	// problem describes the problem, if there is one. It is public.
	problem func() string
}

// withDetails adds a line for each detail to the answers to /readyz?verbose and
// /healthz?verbose.
func withDetails(handler http.Handler, details []detail) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		handler.ServeHTTP(w, req)
		if req.URL.Path != "/readyz" && req.URL.Path != "/healthz" || !req.URL.Query().Has("verbose") {
			return
		}
		for _, d := range details {
			line := fmt.Sprintf("[+]%s ok\n", d.name)
			if problem := d.problem(); problem != "" {
				line = fmt.Sprintf("[!]%s: %s\n", d.name, problem)
			}
			// The client may be gone.
			_, _ = fmt.Fprint(w, line)
		}
	})
}
