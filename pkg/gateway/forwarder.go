package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/features"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// shortWatch is how long a watch lasts at least that client-go does not take for a failure
// after which it lists (tools/cache/reflector.go).
const shortWatch = time.Second

// Config is what a Forwarder is made of.
type Config struct {
	// Cluster is how kube-apiserver is reached. Its credentials are not used.
	Cluster *rest.Config
	// CertFile and KeyFile are the front proxy's certificate and its key. They are empty
	// where users of client certificates cannot be forwarded.
	CertFile, KeyFile string
	Callers           Callers
	// Authenticated is called with the address of a client whose connection the server need not
	// limit any more.
	Authenticated func(address string)
	Serializer    runtime.NegotiatedSerializer
	// DrainSpread is the time over which Drain spreads the ends of requests. Clients that
	// all lost their watches at once would all come back at once.
	DrainSpread time.Duration
}

// Forwarder sends requests to the cluster's kube-apiserver, as the callers who sent them.
type Forwarder struct {
	config      Config
	longRunning request.LongRunningRequestCheck
	// anonymous, tokens and users forward requests without credentials, with bearer
	// tokens, and of users whom the server names. Users is nil without a front proxy's
	// certificate.
	anonymous, tokens http.Handler
	users             *front
	failures          *rate.Limiter
	// draining is done when the server stops.
	draining context.Context
	drain    context.CancelFunc
}

// New makes a Forwarder.
func New(config Config) (*Forwarder, error) {
	f := &Forwarder{config: config, longRunning: longRunning(), failures: rate.NewLimiter(1, 10)}
	f.draining, f.drain = context.WithCancel(context.Background())
	tokens := withoutCredentials(config.Cluster)
	// Over HTTP/2, kube-apiserver closes the connection of an anonymous request after the
	// answer, with all that others have on it.
	anonymous := rest.CopyConfig(tokens)
	anonymous.NextProtos = []string{"http/1.1"}
	var errs [3]error
	f.anonymous, _, errs[0] = newProxy(anonymous, f)
	f.tokens, _, errs[1] = newProxy(tokens, f)
	if config.CertFile != "" {
		users := rest.CopyConfig(tokens)
		users.CertFile, users.KeyFile = config.CertFile, config.KeyFile
		f.users, errs[2] = newFront(users, f)
	}
	return f, errors.Join(errs[:]...)
}

// Drain ends the requests that run until somebody ends them, such as watches, each after a
// random time, and accepts no more of them. The server is about to stop.
func (f *Forwarder) Drain() { f.drain() }

// ServeHTTP implements http.Handler. It needs the request's info.
func (f *Forwarder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if cameBack(req.Header) {
		f.answer(w, req, loopStatus())
		return
	}
	info, known := request.RequestInfoFrom(req.Context())
	if known && otherVersion(info) {
		f.answer(w, req, otherVersionStatus(info))
		return
	}
	caller, err := f.config.Callers.identify(req)
	if err != nil {
		f.answer(w, req, err)
		return
	}
	if caller != nil && !f.mayName(w, req, caller) {
		return
	}
	f.config.Callers.dropIdentity(req.Header)
	addHop(req.Header)
	defer f.endQuietly(req.Context(), known && info.Verb == "watch")
	if known && f.longRunning(req, info) {
		if f.draining.Err() != nil {
			f.Error(w, req, f.draining.Err())
			return
		}
		ctx, cancel := context.WithCancel(req.Context())
		defer cancel()
		defer context.AfterFunc(f.draining, func() { f.endLater(ctx, cancel) })()
		req = req.WithContext(ctx)
	}
	f.forward(w, req, caller)
}

// endLater ends a request within the time over which ends are spread.
func (f *Forwarder) endLater(ctx context.Context, end context.CancelFunc) {
	if f.config.DrainSpread > 0 {
		select {
		case <-time.After(shortWatch + rand.N(f.config.DrainSpread)):
		case <-ctx.Done():
		}
	}
	end()
}

// mayName reports whether the server can name a user to kube-apiserver. Otherwise it
// answers the request.
func (f *Forwarder) mayName(w http.ResponseWriter, req *http.Request, caller user.Info) bool {
	const why = "the user %q of a client certificate cannot be forwarded to the cluster's API server"
	if f.users == nil {
		f.answer(w, req, apierrors.NewUnauthorized(fmt.Sprintf(why+": use a bearer token instead, or start Portolan with "+
			"--proxy-client-cert-file and --proxy-client-key-file", caller.GetName())))
		return false
	}
	err := f.users.check(req.Context())
	if isRejected(err) {
		f.answer(w, req, apierrors.NewUnauthorized(fmt.Sprintf(why+", which does not accept the certificate in --proxy-client-cert-file: "+
			"use a bearer token instead", caller.GetName())))
	} else if err != nil {
		f.Error(w, req.WithContext(request.WithUser(req.Context(), caller)), err)
	}
	return err == nil
}

// forward sends a request of a user, who is nil unless a certificate names one.
func (f *Forwarder) forward(w http.ResponseWriter, req *http.Request, caller user.Info) {
	switch {
	case caller != nil:
		f.config.Authenticated(req.RemoteAddr)
		req.Header.Del("Authorization")
		f.users.handler.ServeHTTP(w, req.WithContext(request.WithUser(req.Context(), caller)))
	case req.Header.Get("Authorization") != "":
		// kube-apiserver may take its time to answer. It does not to reject a token.
		f.config.Authenticated(req.RemoteAddr)
		f.tokens.ServeHTTP(&response{ResponseWriter: w}, req)
	default:
		if req.ProtoMajor == 2 && utilfeature.DefaultFeatureGate.Enabled(features.UnauthenticatedHTTP2DOSMitigation) {
			// Anonymous clients get one request on a connection, as at kube-apiserver.
			w.Header().Set("Connection", "close")
		}
		allowed := func() { f.config.Authenticated(req.RemoteAddr) }
		f.anonymous.ServeHTTP(&response{ResponseWriter: w, allowed: allowed}, req)
	}
}

// endQuietly recovers from the proxy's panic over an answer that could not be completed,
// if the client has left or a watch ends since the server stops. Otherwise the panic goes
// on, and breaks the connection: the client must not take the answer for a whole one.
func (f *Forwarder) endQuietly(ctx context.Context, watch bool) {
	cause := recover()
	if cause == nil {
		return
	}
	expected := ctx.Err() != nil || watch && f.draining.Err() != nil
	if err, ok := cause.(error); !ok || !errors.Is(err, http.ErrAbortHandler) || !expected {
		panic(cause)
	}
}

// Error implements proxy.ErrorResponder for requests that got no answer.
func (f *Forwarder) Error(w http.ResponseWriter, req *http.Request, err error) {
	if f.draining.Err() != nil {
		unavailable := apierrors.NewServiceUnavailable("the server is stopping, try again")
		unavailable.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
		w.Header().Set("Connection", "close")
		f.answer(w, req, unavailable)
		return
	}
	if req.Context().Err() == nil && f.failures.Allow() {
		klog.FromContext(req.Context()).Error(err, "The cluster's API server can't be reached", "method", req.Method, "path", req.URL.Path)
	}
	if _, known := request.UserFrom(req.Context()); !known {
		// Nobody can say whether the token is good.
		w.Header().Set("Connection", "close")
	}
	f.answer(w, req, apierrors.NewServiceUnavailable("the cluster's API server cannot be reached"))
}

// otherVersionStatus is kube-apiserver's 404 for a version that is not served, with advice.
func otherVersionStatus(info *request.RequestInfo) error {
	resource := schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}
	status := apierrors.NewGenericServerResponse(http.StatusNotFound, info.Verb, resource, info.Name, "", 0, true)
	status.ErrStatus.Message = fmt.Sprintf("%s: the gateway does not serve %s in the version %s: use %s", status.ErrStatus.Message, resource,
		info.APIVersion, coreVersion)
	return status
}

func (f *Forwarder) answer(w http.ResponseWriter, req *http.Request, err error) {
	responsewriters.ErrorNegotiated(err, f.config.Serializer, schema.GroupVersion{Version: "v1"}, w, req)
}
