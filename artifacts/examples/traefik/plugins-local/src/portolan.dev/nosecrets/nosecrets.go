// Package nosecrets is a plugin of Traefik's. It answers requests for Secrets in
// the place of an API server that serves none: there are none, and none come.
// Traefik interprets it as it is.
package nosecrets

import (
	"context"
	"net/http"
	"strings"
	"time"
)

const none = `{"apiVersion":"v1","kind":"SecretList","metadata":{"resourceVersion":"1"},"items":[]}`

// Config is empty: there is nothing to configure.
type Config struct{}

// CreateConfig is what Traefik calls for a configuration.
func CreateConfig() *Config { return &Config{} }

// New makes the middleware, which passes all other requests on.
func New(_ context.Context, next http.Handler, _ *Config, _ string) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/api/v1/secrets" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if watch := r.URL.Query().Get("watch"); watch != "true" && watch != "1" {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(none))
			return
		}
		w.WriteHeader(http.StatusOK)
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		<-r.Context().Done()
	}), nil
}
