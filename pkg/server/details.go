package server

import (
	"fmt"
	"net/http"
)

// detail is something that needs attention although the server serves, so that
// it must not make the server unready.
type detail struct {
	name string
	// problem is empty if all is well. Everybody may read it.
	problem func() string
}

// withDetails adds a line for each detail to the answers of /readyz?verbose and
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
			// A client that is gone needs no details.
			_, _ = fmt.Fprint(w, line)
		}
	})
}
