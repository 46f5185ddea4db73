// Package gateway lets a server with a cluster answer for the whole Kubernetes API. The
// server serves Services and their kin itself and forwards everything else to the
// cluster's kube-apiserver.
//
// # What is served and what is forwarded
//
// Serves decides, from the request's info alone. Served are
//
//   - services, endpoints, endpointslices, servicecidrs and ipaddresses in the core API
//     groups, with every verb and subresource,
//   - portolan.dev, with its OpenAPI document,
//   - the process itself: health checks, metrics, profiles and snapshots.
//
// Everything else belongs to the cluster: other resources, discovery and OpenAPI, which
// describe these kinds already, /version, and unknown paths.
//
// kube-apiserver itself asks for discovery and OpenAPI of the server that the APIService
// of portolan.dev names. These requests are served: forwarded, they would go in a circle.
//
// # Who a forwarded request comes from
//
// A forwarded request arrives at kube-apiserver as the caller who sent it. It never
// carries the server's own credentials.
//
//   - A bearer token is forwarded as it was received, and kube-apiserver judges it. The
//     server asks for no TokenReview, so the answer to a bad token is kube-apiserver's.
//   - A client certificate cannot be forwarded. The server verifies it and names its user
//     in X-Remote headers, as the aggregation layer does for users that it forwards. For
//     that it needs the certificate of a front proxy that kube-apiserver trusts. Without
//     one, such a request gets a 401. So does a certificate that is not accepted,
//     unless a token comes with it.
//   - A request without either is forwarded without credentials. kube-apiserver decides
//     what anonymous callers may do.
//
// X-Remote headers of clients are dropped. Impersonate headers are forwarded:
// kube-apiserver asks its authorizers whether the caller may impersonate.
//
// # What happens to a forwarded request
//
// It passes none of the filters for requests that the server serves: no authorization, no
// admission, no priority and fairness, no audit, no timeout. kube-apiserver has all of
// these. Bodies are streamed in both directions, and upgraded connections (exec, attach,
// port-forward, WebSockets) are joined. While kube-apiserver is down, forwarded requests
// fail at once with a 503.
package gateway
