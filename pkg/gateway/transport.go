package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
)

// dialTimeout bounds how long a request waits for a kube-apiserver whose machine does not
// answer.
const dialTimeout = 5 * time.Second

// backend sends requests to kube-apiserver. Where the context names a user, it sends them
// as that user's.
type backend struct{ http.RoundTripper }

var (
	_ proxy.UpgradeRequestRoundTripper = backend{}
	_ utilnet.RoundTripperWrapper      = backend{}
)

// RoundTrip implements http.RoundTripper. The user's headers are added below the proxy,
// which removes those that a client's Connection header lists.
func (b backend) RoundTrip(req *http.Request) (*http.Response, error) {
	below := b.RoundTripper
	if user, ok := request.UserFrom(req.Context()); ok {
		below = transport.NewAuthProxyRoundTripper(user.GetName(), user.GetUID(), user.GetGroups(), user.GetExtra(), below)
	}
	return below.RoundTrip(req)
}

// WrapRequest implements proxy.UpgradeRequestRoundTripper.
func (b backend) WrapRequest(req *http.Request) (*http.Request, error) {
	if user, ok := request.UserFrom(req.Context()); ok {
		req = utilnet.CloneRequest(req)
		transport.SetAuthProxyHeaders(req, user.GetName(), user.GetUID(), user.GetGroups(), user.GetExtra())
	}
	return req, nil
}

// WrappedRoundTripper implements utilnet.RoundTripperWrapper.
func (b backend) WrappedRoundTripper() http.RoundTripper { return b.RoundTripper }

// withoutCredentials returns a config for anonymous requests to kube-apiserver. Answers are
// passed on as they come, compressed or not.
func withoutCredentials(cluster *rest.Config) *rest.Config {
	config := rest.AnonymousClientConfig(cluster)
	config.UserAgent, config.Timeout, config.DisableCompression = "", 0, true
	if config.Dial == nil {
		config.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	return config
}

// newFront makes the proxy that sends requests of users whom the server names.
func newFront(config *rest.Config, responder proxy.ErrorResponder) (*front, error) {
	handler, back, err := newProxy(config, responder)
	if err != nil {
		return nil, err
	}
	return &front{handler: handler, backend: back, url: handler.upgrades.Location.JoinPath(selfReviews).String()}, nil
}

// newProxy makes the proxy that sends requests with a configuration.
func newProxy(config *rest.Config, responder proxy.ErrorResponder) (*passage, backend, error) {
	location, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, backend{}, fmt.Errorf("the cluster's address: %w", err)
	}
	inner, err := rest.TransportFor(config)
	if err != nil {
		return nil, backend{}, fmt.Errorf("connections to the cluster: %w", err)
	}
	back := backend{inner}
	base := &url.URL{Scheme: location.Scheme, Host: location.Host, Path: location.Path}
	if base.Path == "" {
		base.Path = "/"
	}
	return newPassage(base, back, responder), back, nil
}
