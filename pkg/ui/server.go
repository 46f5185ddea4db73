package ui

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"k8s.io/klog/v2"
)

const (
	headerTimeout = 10 * time.Second
	// maxHeader is far more than the headers of a browser on loopback.
	maxHeader = 16 << 10
	// endTimeout is how long requests get to end when the server does.
	endTimeout = 2 * time.Second
)

// Server serves the page on a loopback address.
type Server struct {
	listener net.Listener
	token    string
	handler  http.Handler
}

// Listen returns a server that listens on a loopback address and a port; 0 is any free one.
// Target names the server that the page is about.
func Listen(ctx context.Context, address string, port int, target string, model *Model) (*Server, error) {
	addr, err := netip.ParseAddr(address)
	if err != nil || !addr.IsLoopback() {
		return nil, fmt.Errorf("%q is not a loopback address: use 127.0.0.1 or ::1", address)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	// 128 random bits.
	token := rand.Text()
	return &Server{listener: listener, token: token, handler: newHandler(model, token, target)}, nil
}

// URL returns the address of the page, with its secret.
func (s *Server) URL() string { return fmt.Sprintf("http://%s/%s/", s.listener.Addr(), s.token) }

// Serve serves until the context ends.
func (s *Server) Serve(ctx context.Context) error {
	server := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeader,
		// Streams end with the context.
		BaseContext: func(net.Listener) context.Context { return ctx },
		// What it logs, broken connections and panics, has no path in it.
		ErrorLog: klog.NewStandardLogger("ERROR"),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(s.listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	// A connection that is still busy is closed.
	if err := server.Shutdown(ending); err != nil {
		return server.Close()
	}
	return nil
}
