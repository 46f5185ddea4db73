package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/kubernetes"
	authorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/server/options"
)

// AuthenticationConfigMap is the ConfigMap in kube-system in which kube-apiserver
// publishes the certificate authorities of its users and the configuration of its
// aggregation layer (pkg/controlplane/controller/clusterauthenticationtrust).
const AuthenticationConfigMap = "extension-apiserver-authentication"

// Keys of the ConfigMap.
const (
	clientCAKey    = "client-ca-file"
	headerCAKey    = "requestheader-client-ca-file"
	headerUsersKey = "requestheader-username-headers"
)

// clusterSources returns the cluster's sources of users. They follow changes of its
// authentication configuration.
func clusterSources(config *genericapiserver.Config, o *options.Options) (sources userSources, err error) {
	clientConfig, err := o.AuthenticationConfig()
	if err != nil {
		return sources, err
	}
	client, err := kubernetes.NewForConfig(clientConfig)
	if err != nil {
		return sources, fmt.Errorf("client for the cluster's authentication: %w", err)
	}
	sources.tokenReviews = client.AuthenticationV1()
	// The flags take precedence over the ConfigMap. Without them this is nil.
	if sources.requestHeader, err = o.Authentication.RequestHeader.ToAuthenticationRequestHeaderConfig(); err != nil {
		return sources, fmt.Errorf("--requestheader-client-ca-file: %w", err)
	}
	if o.Authentication.SkipInClusterLookup {
		return sources, nil
	}

	clientCA, err := dynamiccertificates.NewDynamicCAFromConfigMapController(
		"client-ca", metav1.NamespaceSystem, AuthenticationConfigMap, clientCAKey, client)
	if err != nil {
		return sources, err
	}
	sources.clientCAs = append(sources.clientCAs, clientCA)
	lookup := lookup{client: client, clientCA: clientCA}
	if sources.requestHeader == nil {
		if lookup.requestHeader, err = newRequestHeaderController(client); err != nil {
			return sources, err
		}
		sources.requestHeader = requestHeaderConfig(lookup.requestHeader)
	}
	if !o.Authentication.TolerateInClusterLookupFailure {
		err = readyOnce(config, "cluster-authentication", lookup.check)
	}
	return sources, err
}

// newRequestHeaderController follows the configuration of the aggregation layer. The
// framework's options do the same, but fail if the cluster is unreachable at startup.
func newRequestHeaderController(client kubernetes.Interface) (*genericoptions.DynamicRequestHeaderController, error) {
	ca, err := dynamiccertificates.NewDynamicCAFromConfigMapController(
		"request-header", metav1.NamespaceSystem, AuthenticationConfigMap, headerCAKey, client)
	if err != nil {
		return nil, err
	}
	return &genericoptions.DynamicRequestHeaderController{
		ConfigMapCAController: ca,
		RequestHeaderAuthRequestController: headerrequest.NewRequestHeaderAuthRequestController(
			AuthenticationConfigMap, metav1.NamespaceSystem, client,
			headerUsersKey, "requestheader-uid-headers", "requestheader-group-headers",
			"requestheader-extra-headers-prefix", "requestheader-allowed-names"),
	}, nil
}

func requestHeaderConfig(controller *genericoptions.DynamicRequestHeaderController) *authenticatorfactory.RequestHeaderConfig {
	return &authenticatorfactory.RequestHeaderConfig{
		CAContentProvider:   controller,
		UsernameHeaders:     headerrequest.StringSliceProviderFunc(controller.UsernameHeaders),
		UIDHeaders:          headerrequest.StringSliceProviderFunc(controller.UIDHeaders),
		GroupHeaders:        headerrequest.StringSliceProviderFunc(controller.GroupHeaders),
		ExtraHeaderPrefixes: headerrequest.StringSliceProviderFunc(controller.ExtraHeaderPrefixes),
		AllowedClientNames:  headerrequest.StringSliceProviderFunc(controller.AllowedClientNames),
	}
}

// lookup checks whether the authentication configuration has arrived from the cluster.
type lookup struct {
	client   kubernetes.Interface
	clientCA dynamiccertificates.CAContentProvider
	// requestHeader is nil if flags configure the aggregation layer.
	requestHeader *genericoptions.DynamicRequestHeaderController
}

func (l lookup) check(ctx context.Context) error {
	configMap, err := l.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, AuthenticationConfigMap, metav1.GetOptions{})
	if err != nil {
		return err
	}
	missing := configMap.Data[clientCAKey] != "" && len(l.clientCA.CurrentCABundleContent()) == 0
	if l.requestHeader != nil {
		missing = missing ||
			configMap.Data[headerCAKey] != "" && len(l.requestHeader.CurrentCABundleContent()) == 0 ||
			configMap.Data[headerUsersKey] != "" && len(l.requestHeader.UsernameHeaders()) == 0
	}
	if missing {
		return errors.New("it has not arrived yet")
	}
	return nil
}

// readyOnce keeps the server unready until a check has succeeded once. The check does
// not affect liveness, since a restart would not help.
func readyOnce(config *genericapiserver.Config, name string, check func(context.Context) error) error {
	var done atomic.Bool
	config.AddReadyzChecks(healthz.NamedCheck(name, func(*http.Request) error {
		if !done.Load() {
			return fmt.Errorf("%s/%s has not been looked up in the cluster yet", metav1.NamespaceSystem, AuthenticationConfigMap)
		}
		return nil
	}))
	// Informers take a moment, so the first retries come soon.
	backoff := wait.Backoff{Duration: 50 * time.Millisecond, Factor: 1.5, Steps: 20, Cap: 5 * time.Second}
	return config.AddPostStartHook(name, func(hook genericapiserver.PostStartHookContext) error {
		go func() {
			said := ""
			err := backoff.DelayFunc().Until(hook, true, true, func(ctx context.Context) (bool, error) {
				if err := check(ctx); err != nil {
					if reason := err.Error(); reason != said {
						said = reason
						klog.InfoS("Waiting for the cluster's authentication configuration", "reason", reason)
					}
					return false, nil
				}
				done.Store(true)
				return true, nil
			})
			if err != nil {
				klog.InfoS("Stopped before the cluster's authentication configuration was there", "reason", err)
			}
		}()
		return nil
	})
}

// clusterAuthorizer returns an authorizer that sends SubjectAccessReviews to the cluster.
func clusterAuthorizer(o *options.Options) (authorizer.Authorizer, error) {
	config, err := o.AuthorizationConfig()
	if err != nil {
		return nil, err
	}
	client, err := authorizationv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client for the cluster's authorization: %w", err)
	}
	return authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: client,
		AllowCacheTTL:             o.Authorization.AllowCacheTTL,
		DenyCacheTTL:              o.Authorization.DenyCacheTTL,
		WebhookRetryBackoff:       o.Authorization.WebhookRetryBackoff,
	}.New()
}
