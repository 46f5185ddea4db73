package gateway

import (
	"net/http"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/filters"
)

// longRunning returns the check for requests that may take as long as they do. It is
// kube-apiserver's (cmd/kube-apiserver/app/options).
func longRunning() request.LongRunningRequestCheck {
	return filters.BasicLongRunningRequestCheck(sets.NewString("watch", "proxy"),
		sets.NewString("attach", "exec", "proxy", "log", "portforward"))
}

// WithFilters puts around the forwarder what the process itself needs. kube-apiserver has
// the other filters.
func (f *Forwarder) WithFilters(config *genericapiserver.Config) http.Handler {
	handler := filters.WithWaitGroup(f, f.longRunning, config.NonLongRunningRequestWaitGroup)
	handler = filters.WithCORS(handler, config.CorsAllowedOriginList, nil, nil, nil, "true")
	if config.GoawayChance > 0 {
		handler = filters.WithProbabilisticGoaway(handler, config.GoawayChance)
	}
	handler = filters.WithHTTPLogging(handler)
	return filters.WithPanicRecovery(handler, config.RequestInfoResolver)
}
