package server

import (
	"net/http"
	"net/url"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/portolan-dev/portolan/pkg/serviceaccount"
)

// addDiscovery serves the documents with which others verify the tokens of ServiceAccounts,
// as kube-apiserver does (pkg/routes). The address is where others reach the server.
func addDiscovery(generic *genericapiserver.GenericAPIServer, issuer *serviceaccount.Issuer, address string) error {
	description, err := issuer.Discovery((&url.URL{Scheme: "https", Host: address, Path: serviceaccount.KeysPath}).String())
	if err != nil {
		return err
	}
	keys, err := issuer.Keys()
	if err != nil {
		return err
	}
	for _, document := range []struct {
		path, contentType string
		content           []byte
	}{
		{serviceaccount.DiscoveryPath, "application/json", description},
		{serviceaccount.KeysPath, "application/jwk-set+json", keys},
	} {
		generic.Handler.NonGoRestfulMux.HandleFunc(document.path, func(w http.ResponseWriter, req *http.Request) {
			if req.Method != http.MethodGet && req.Method != http.MethodHead {
				http.Error(w, "405: Method Not Allowed", http.StatusMethodNotAllowed)
				return
			}
			w.Header().Set("Content-Type", document.contentType)
			// The keys only change when a server restarts. The period is kube-apiserver's.
			w.Header().Set("Cache-Control", "public, max-age=3600")
			// The client may be gone.
			_, _ = w.Write(document.content)
		})
	}
	return nil
}
