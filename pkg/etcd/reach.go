package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

const (
	// reachTimeout limits how long a starting server waits for etcd, which may be
	// starting as well.
	reachTimeout = 10 * time.Second
	reachPeriod  = 500 * time.Millisecond
	greetTimeout = 3 * time.Second
)

// errTLS marks errors that are not worth retrying.
var errTLS = errors.New("TLS")

// reach returns when one of the endpoints answers. etcd's client would retry
// without end; reach returns the error of the endpoints instead. It writes to out
// that it waits, and why.
func reach(ctx context.Context, endpoints []string, config *tls.Config, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	for logged := false; ; {
		err := greetAny(ctx, endpoints, config)
		if err == nil || errors.Is(err, errTLS) {
			return err
		}
		if !logged {
			fmt.Fprintf(out, "Waiting up to %v for etcd: %v\n", reachTimeout, err)
			logged = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: is it running, and does --etcd-servers say where?", err)
		case <-time.After(reachPeriod):
		}
	}
}

// greetAny returns nil as soon as one endpoint answers. If none does, it returns
// the error of one of them.
func greetAny(ctx context.Context, endpoints []string, config *tls.Config) (err error) {
	results := make(chan error, len(endpoints))
	for _, endpoint := range endpoints {
		go func() { results <- greet(ctx, endpoint, config) }()
	}
	for range endpoints {
		if err = <-results; err == nil {
			return nil
		}
	}
	return err
}

// greet opens an HTTP/2 connection to an endpoint and waits for the first byte of
// the answer. An etcd that rejects our certificate reports that by then.
func greet(ctx context.Context, endpoint string, config *tls.Config) error {
	network, address, secure := parseEndpoint(endpoint)
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	connection, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return fmt.Errorf("%s can't be reached: %w", endpoint, reason(err))
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = connection.SetDeadline(deadline)
	}
	if secure {
		connection = tls.Client(connection, tlsConfigFor(config, address))
	}
	greeting := []byte(http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	if _, err = connection.Write(greeting); err == nil {
		_, err = io.ReadFull(connection, make([]byte, 1))
	}
	switch {
	case err == nil:
		return nil
	case secure && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.EOF):
		return fmt.Errorf("%w to %s: %w%s", errTLS, endpoint, err, advice(err))
	}
	return fmt.Errorf("%s doesn't answer: %w", endpoint, err)
}

func parseEndpoint(endpoint string) (network, address string, secure bool) {
	parsed, err := url.Parse(endpoint)
	if err != nil || parsed.Host == "" && parsed.Path == "" {
		return "tcp", endpoint, false
	}
	if strings.HasPrefix(parsed.Scheme, "unix") {
		return "unix", parsed.Host + parsed.Path, parsed.Scheme == "unixs"
	}
	return "tcp", parsed.Host, parsed.Scheme == "https"
}

func tlsConfigFor(config *tls.Config, address string) *tls.Config {
	result := &tls.Config{}
	if config != nil {
		result = config.Clone()
	}
	result.NextProtos = []string{http2.NextProtoTLS}
	if host, _, err := net.SplitHostPort(address); err == nil && result.ServerName == "" {
		result.ServerName = host
	}
	return result
}

// reason returns the cause of a network error without the operation and the
// address, which the caller names itself.
func reason(err error) error {
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		err = operation.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err
}

// advice names the flag to change after a TLS error.
func advice(err error) string {
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	_, refused := errors.AsType[tls.AlertError](err)
	_, alert := errors.AsType[*net.OpError](err)
	switch {
	case unknown:
		return ": --etcd-cafile has to name the authority that signed it"
	case plain:
		return ": --etcd-servers says https, is it http?"
	case refused || alert:
		return ": does it accept the certificate of --etcd-certfile?"
	}
	return ""
}
