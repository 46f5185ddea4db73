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
)

const (
	dialTimeout = 30 * time.Second
	keepAlive   = 30 * time.Second
)

// newTransport goes to addresses as they were checked: it asks no resolver for
// the address of a name, and no proxy of the environment stands between.
// Backends are known by their address and no certificate names those, so, as
// upstream, any certificate will do.
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
