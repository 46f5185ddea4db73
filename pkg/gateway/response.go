package gateway

import (
	"bufio"
	"net"
	"net/http"
)

// response passes on the answer to a caller whom only kube-apiserver knows.
type response struct {
	http.ResponseWriter
	// allowed is called if kube-apiserver allows an anonymous request. It may be nil.
	allowed func()
}

var _ http.Hijacker = &response{}

// Unwrap gives http.ResponseController what is underneath.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements http.ResponseWriter. It has the connection closed of a caller
// whom kube-apiserver does not know: the server does not limit it any more.
func (r *response) WriteHeader(code int) {
	switch {
	case code == http.StatusUnauthorized:
		r.Header().Set("Connection", "close")
	case r.allowed != nil && code >= http.StatusOK && code != http.StatusForbidden:
		r.allowed()
	}
	r.ResponseWriter.WriteHeader(code)
}

// Hijack implements http.Hijacker. The proxy hijacks the connection when kube-apiserver
// has answered, and closes it if the answer is an error.
func (r *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if r.allowed != nil {
		r.allowed()
	}
	return http.NewResponseController(r.ResponseWriter).Hijack()
}
