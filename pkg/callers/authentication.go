package callers

import (
	"fmt"
	"net/http"

	"golang.org/x/time/rate"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

const (
	// failuresPerSecond is how many failed authentications are logged.
	failuresPerSecond = 1
	failuresBurst     = 10
)

// Authenticator wraps an authenticator. It stops limiting the connections on which that
// succeeds for a user other than system:anonymous. The framework logs each authentication
// that fails with an error, so this passes on a few errors per second, truncated, and
// drops the others. The answer to the client is the same.
func (c *Connections) Authenticator(inner authenticator.Request) authenticator.Request {
	logged := rate.NewLimiter(failuresPerSecond, failuresBurst)
	return authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := inner.AuthenticateRequest(req)
		switch {
		case err != nil && !logged.Allow():
			return nil, false, nil
		case err != nil:
			return nil, false, fmt.Errorf("%.*s", maxLogged, err.Error())
		case ok && response.User.GetName() != user.Anonymous:
			c.Authenticated(req.RemoteAddr)
		}
		return response, ok, nil
	})
}
