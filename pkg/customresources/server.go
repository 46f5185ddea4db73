// Package customresources serves the kinds that CustomResourceDefinitions define.
//
// It runs the server of k8s.io/apiextensions-apiserver behind the server of the built-in
// kinds, which passes on the requests that it does not know. The definitions themselves are a
// built-in kind. Both servers share the filters, admission, the storage stack, discovery and
// the OpenAPI documents.
package customresources

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apiserver"
	informers "k8s.io/apiextensions-apiserver/pkg/client/informers/externalversions/apiextensions/v1"
	openapicontroller "k8s.io/apiextensions-apiserver/pkg/controller/openapi"
	openapiv3controller "k8s.io/apiextensions-apiserver/pkg/controller/openapiv3"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/util/webhook"

	"github.com/portolan-dev/portolan/pkg/storage"
)

// Config is the configuration of a server of custom resources.
type Config struct {
	// Etcd has the prefix, the limits and the encryption of stored objects.
	Etcd genericoptions.EtcdOptions
	// Replicated is true if several servers may share the store. They wait five seconds until
	// all of them know a definition, before clients may use it.
	Replicated bool
}

// Server serves custom resources.
type Server struct {
	generic     *genericapiserver.GenericAPIServer
	definitions informers.CustomResourceDefinitionInformer
}

// New makes a server behind one with the configuration front. It passes on the requests that
// it does not know itself to next. The getter is that of the built-in kinds.
func (c Config) New(front *genericapiserver.Config, getter *storage.Getter, next genericapiserver.DelegationTarget) (*Server, error) {
	generic := *front
	// The server in front has these, and runs the hooks of this server too.
	generic.PostStartHooks = map[string]genericapiserver.PostStartHookConfigEntry{}
	generic.HealthzChecks, generic.LivezChecks, generic.ReadyzChecks = nil, nil, nil
	generic.BuildHandlerChainFunc = func(handler http.Handler, _ *genericapiserver.Config) http.Handler { return handler }
	generic.EnableIndex, generic.EnableProfiling, generic.EnableMetrics, generic.FlowControl = false, false, false, nil
	// The server in front serves the definitions.
	generic.MergedResourceConfig = serverstorage.NewResourceConfig()

	config := apiserver.Config{
		GenericConfig: &genericapiserver.RecommendedConfig{Config: generic},
		ExtraConfig: apiserver.ExtraConfig{
			CRDRESTOptionsGetter: c.getter(front, getter),
			MasterCount:          1,
			ServiceResolver:      webhook.NewDefaultServiceResolver(),
			AuthResolverWrapper: webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil,
				front.LoopbackClientConfig, front.TracerProvider),
		},
	}
	if c.Replicated {
		config.ExtraConfig.MasterCount = 2
	}
	custom, err := config.Complete().New(next)
	if err != nil {
		return nil, fmt.Errorf("custom resources: %w", err)
	}
	return &Server{custom.GenericAPIServer, custom.Informers.Apiextensions().V1().CustomResourceDefinitions()}, nil
}

// Definitions returns the informer of the definitions, as the server knows them.
func (s *Server) Definitions() informers.CustomResourceDefinitionInformer { return s.definitions }

// Delegate returns what the server in front passes requests on to.
func (s *Server) Delegate() genericapiserver.DelegationTarget { return s.generic }

// Publish adds the custom resources to the list of API groups and to the OpenAPI documents of
// the server in front.
func (s *Server) Publish(front *genericapiserver.GenericAPIServer) error {
	if err := follow(s.definitions, front.DiscoveryGroupManager); err != nil {
		return err
	}
	if err := front.AddPreShutdownHook("portolan-custom-resources", s.awaitStart); err != nil {
		return err
	}
	return front.AddPostStartHook("portolan-custom-resources-openapi", func(hook genericapiserver.PostStartHookContext) error {
		go openapicontroller.NewController(s.definitions).Run(front.StaticOpenAPISpec, front.OpenAPIVersionedService, hook.Done())
		go openapiv3controller.NewController(s.definitions).Run(front.OpenAPIV3VersionedService, hook.Done())
		return nil
	})
}

// startTimeout is how long a stop waits for a start that is not finished.
const startTimeout = 10 * time.Second

// awaitStart delays a stop until the library's start hook has ended. The framework ends the
// process if the hook is interrupted.
func (s *Server) awaitStart() error {
	select {
	case <-s.generic.MuxAndDiscoveryCompleteSignals()["CRDInformerHasNotSynced"]:
		return nil
	case <-time.After(startTimeout):
		return errors.New("custom resources have not started")
	}
}
