// Package serviceproxy implements the proxy subresource of Services: it forwards a
// request to services/{name}/proxy to one of the Service's endpoints.
//
// The syntax of the name, the choice of an address and the treatment of headers,
// redirects and HTML follow upstream (pkg/registry/core/service/proxy.go and
// storage/storage.go). AddressPolicy decides which addresses the proxy connects to.
package serviceproxy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

var _ rest.Connecter = &REST{}

// REST serves services/proxy.
type REST struct {
	services, endpoints rest.Getter
	policy              *AddressPolicy
	transport           *http.Transport
	upgrades            proxy.UpgradeRequestRoundTripper
}

// NewREST returns the proxy. It reads Services and Endpoints from the given storage.
func NewREST(services, endpoints rest.Getter, policy *AddressPolicy) *REST {
	transport := newTransport()
	return &REST{services: services, endpoints: endpoints, policy: policy, transport: transport, upgrades: forUpgrades(transport)}
}

// New implements rest.Storage.
func (*REST) New() runtime.Object { return &corev1.ServiceProxyOptions{} }

// Destroy implements rest.Storage.
func (r *REST) Destroy() { r.transport.CloseIdleConnections() }

// ConnectMethods implements rest.Connecter.
func (*REST) ConnectMethods() []string {
	return []string{
		http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodHead, http.MethodOptions,
	}
}

// NewConnectOptions implements rest.Connecter. The rest of the request's path becomes
// the option named path.
func (*REST) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.ServiceProxyOptions{}, true, "path"
}

// Connect implements rest.Connecter. Its errors are upstream's status errors.
func (r *REST) Connect(ctx context.Context, id string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	proxyOptions, ok := options.(*corev1.ServiceProxyOptions)
	if !ok {
		return nil, fmt.Errorf("not ServiceProxyOptions: %T", options)
	}
	location, err := r.locate(ctx, id)
	if err != nil {
		return nil, err
	}
	location.Path = utilnet.JoinPreservingTrailingSlash(proxyOptions.Path)
	handler := proxy.NewUpgradeAwareHandler(location, r.transport, true, false, proxy.NewErrorResponder(responder))
	handler.UpgradeTransport = r.upgrades
	return handler, nil
}

// locate returns the URL of the chosen endpoint.
func (r *REST) locate(ctx context.Context, id string) (*url.URL, error) {
	target, err := parseTarget(id)
	if err != nil {
		return nil, err
	}
	port := target.port
	if number, ok := target.number(); ok {
		obj, err := r.services.Get(ctx, target.service, &metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if port, err = portName(target.service, obj.(*v1.Service).Spec.Ports, number); err != nil {
			return nil, err
		}
	}
	obj, err := r.endpoints.Get(ctx, target.service, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	subsets := obj.(*v1.Endpoints).Subsets
	if len(subsets) == 0 {
		return nil, noEndpoints(target.service, "")
	}
	chosen, some, err := r.policy.choose(ctx, request.NamespaceValue(ctx), candidates(subsets, port, rand.IntN))
	switch {
	case err != nil:
		return nil, err
	case chosen.IsValid():
		return &url.URL{Scheme: target.scheme, Host: chosen.String()}, nil
	case some:
		return nil, noEndpoints(id, ": "+r.policy.advice())
	}
	return nil, noEndpoints(id, "")
}

func noEndpoints(service, advice string) error {
	return apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q%s", service, advice))
}
