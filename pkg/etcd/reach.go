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
	// reachTimeout is for how long etcd may be away when a server starts: it may be
	// starting as well.
	reachTimeout = 10 * time.Second
	reachAgain   = 500 * time.Millisecond
	greetTimeout = 3 * time.Second
)

// errTLS is what no waiting helps with.
var errTLS = errors.New("TLS")

// reach returns when one of the endpoints answers, so that what is wrong with all
// of them is told before a client tries again and again. What it waits for is said
// on out.
func reach(ctx context.Context, endpoints []string, config *tls.Config, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	for told := false; ; {
		err := greetAny(ctx, endpoints, config)
		if err == nil || errors.Is(err, errTLS) {
			return err
		}
		if !told {
			fmt.Fprintf(out, "Waiting up to %v for etcd: %v\n", reachTimeout, err)
			told = true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: is it running, and does --etcd-servers say where?", err)
		case <-time.After(reachAgain):
		}
	}
}

// greetAny returns nil once one endpoint answers, and otherwise what is wrong with
// one of them.
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

// greet speaks to an endpoint as a client of HTTP/2 does. An etcd answers; one that
// wants another certificate says so then at the latest.
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
	made := &tls.Config{}
	if config != nil {
		made = config.Clone()
	}
	made.NextProtos = []string{http2.NextProtoTLS}
	if host, _, err := net.SplitHostPort(address); err == nil && made.ServerName == "" {
		made.ServerName = host
	}
	return made
}

// reason leaves out of an error what was tried, which is said beside it.
func reason(err error) error {
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		err = operation.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err
}

// advice says which flag is to be changed.
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
