package gateway

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/streaming/pkg/httpstream"
)

const (
	// bufferSize is that of io.Copy. A watch, which may last for hours, takes a smaller one.
	bufferSize, watchBufferSize = 32 << 10, 4 << 10
	// flushInterval is the longest time that a part of an answer of known length waits. An
	// answer of unknown length is flushed at once. The value is that of package proxy.
	flushInterval = 200 * time.Millisecond
	forwardedFor  = "X-Forwarded-For"
)

// passage sends requests to kube-apiserver and passes on the answers.
type passage struct {
	// upgrades joins connections that leave HTTP.
	upgrades *proxy.UpgradeAwareHandler
	// watches sends watches, and others all other requests. Package proxy would make a
	// ReverseProxy for each request, and that would make a buffer.
	watches, others *httputil.ReverseProxy
}

// newPassage makes a passage to kube-apiserver's URL.
func newPassage(base *url.URL, back backend, responder proxy.ErrorResponder) *passage {
	upgrades := proxy.NewUpgradeAwareHandler(base, back, false, false, responder)
	upgrades.UpgradeTransport = back
	// The path is the request's. The host is kube-apiserver's: load balancers may route by it.
	upgrades.UseRequestLocation, upgrades.UseLocationHost, upgrades.AppendLocationPath = true, true, base.Path != "/"
	reverse := func(size int) *httputil.ReverseProxy {
		return &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) { rewrite(r, base) }, Transport: back, FlushInterval: flushInterval,
			BufferPool: &buffers{size: size}, ErrorHandler: responder.Error,
		}
	}
	return &passage{upgrades: upgrades, watches: reverse(watchBufferSize), others: reverse(bufferSize)}
}

// ServeHTTP implements http.Handler.
func (p *passage) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	info, known := request.RequestInfoFrom(req.Context())
	switch {
	case httpstream.IsUpgradeRequest(req):
		p.upgrades.ServeHTTP(w, req)
	case known && info.Verb == "watch":
		p.watches.ServeHTTP(w, req)
	default:
		p.others.ServeHTTP(w, req)
	}
}

// rewrite directs a request to kube-apiserver. The query and the headers that earlier
// proxies have set stay as they are.
func rewrite(r *httputil.ProxyRequest, base *url.URL) {
	r.SetURL(&url.URL{Scheme: base.Scheme, Host: base.Host, Path: strings.TrimSuffix(base.Path, "/")})
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	for _, name := range []string{"Forwarded", forwardedFor, "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, said := r.In.Header[name]; said {
			r.Out.Header[name] = values
		}
	}
	if client, _, err := net.SplitHostPort(r.In.RemoteAddr); err == nil {
		r.Out.Header.Set(forwardedFor, strings.Join(slices.Concat(r.In.Header.Values(forwardedFor), []string{client}), ", "))
	}
}

// buffers is a pool of the buffers with which answers are copied.
type buffers struct {
	size int
	pool sync.Pool
}

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, b.size)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }
