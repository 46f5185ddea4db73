package gateway

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/klog/v2"
)

// Callers says who sends requests by client certificate.
type Callers struct {
	// Certificates authenticates client certificates: those of users and those of
	// front proxies, which name users in headers.
	Certificates authenticator.Request
	// Front has the names of the headers in which a front proxy names users, besides
	// the usual ones. It may be nil.
	Front *authenticatorfactory.RequestHeaderConfig
}

// identify returns the user of a request's client certificate, or nil if there is no
// certificate. A token beside a certificate that is not accepted still counts, as at
// kube-apiserver.
func (c Callers) identify(req *http.Request) (user.Info, error) {
	if req.TLS == nil || len(req.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	response, ok, err := c.Certificates.AuthenticateRequest(req)
	switch {
	case ok && err == nil:
		return response.User, nil
	case req.Header.Get("Authorization") != "":
		return nil, nil
	}
	klog.FromContext(req.Context()).V(2).Info("A client certificate is not accepted", "cause", err)
	return nil, apierrors.NewUnauthorized("Unauthorized")
}

// dropIdentity removes the headers in which a front proxy names users. A client is none.
func (c Callers) dropIdentity(header http.Header) {
	headerrequest.ClearAuthenticationHeaders(header, headerrequest.StaticStringSlice{"X-Remote-User"},
		headerrequest.StaticStringSlice{"X-Remote-Uid"}, headerrequest.StaticStringSlice{"X-Remote-Group"},
		headerrequest.StaticStringSlice{"X-Remote-Extra-"})
	if c.Front != nil {
		headerrequest.ClearAuthenticationHeaders(header, c.Front.UsernameHeaders, c.Front.UIDHeaders, c.Front.GroupHeaders,
			c.Front.ExtraHeaderPrefixes)
	}
}
