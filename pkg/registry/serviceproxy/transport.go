package serviceproxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"
)

const (
	dialTimeout = 30 * time.Second
	keepAlive   = 30 * time.Second
)

// newTransport returns a transport that connects to the checked addresses only: it
// resolves no names, and ignores the proxy of the environment. As in upstream, it
// accepts any certificate, because certificates do not name the addresses of backends.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	return utilnet.SetTransportDefaults(&http.Transport{
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if _, err := netip.ParseAddrPort(address); err != nil {
				return nil, fmt.Errorf("only addresses are dialed: %w", err)
			}
			return dialer.DialContext(ctx, network, address)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	})
}

// forUpgrades returns a transport for requests that become streams, such as WebSockets. It
// closes a connection when the context of its request ends, because its user was removed for
// example: once the client's connection is hijacked, nothing else does.
func forUpgrades(transport *http.Transport) proxy.UpgradeRequestRoundTripper {
	closing := transport.Clone()
	closing.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := transport.DialContext(ctx, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
	return proxy.NewUpgradeRequestRoundTripper(closing, proxy.MirrorRequest)
}
