package server

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

// Where kube-apiserver tells extension API servers whose client certificates it
// accepts and how its aggregation layer speaks for users
// (pkg/controlplane/controller/clusterauthenticationtrust).
const (
	authenticationConfigMap = "extension-apiserver-authentication"
	clientCAKey             = "client-ca-file"
	frontCAKey              = "requestheader-client-ca-file"
	frontUsersKey           = "requestheader-username-headers"
)

// identitiesOfCluster has the cluster say who callers are. It follows the
// authentication configuration as it changes.
func (c *Config) identitiesOfCluster(o *options.Options) (known identities, err error) {
	config, err := o.AuthenticationConfig()
	if err != nil {
		return known, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return known, fmt.Errorf("client for the cluster's authentication: %w", err)
	}
	known.reviews = client.AuthenticationV1()
	// What is said here rather than there; nil unless something is.
	if known.front, err = o.Authentication.RequestHeader.ToAuthenticationRequestHeaderConfig(); err != nil {
		return known, fmt.Errorf("--requestheader-client-ca-file: %w", err)
	}
	if o.Authentication.SkipInClusterLookup {
		return known, nil
	}

	clientCA, err := dynamiccertificates.NewDynamicCAFromConfigMapController(
		"client-ca", metav1.NamespaceSystem, authenticationConfigMap, clientCAKey, client)
	if err != nil {
		return known, err
	}
	known.authorities = append(known.authorities, clientCA)
	sought := lookup{client: client, clientCA: clientCA}
	if known.front == nil {
		if sought.front, err = newFront(client); err != nil {
			return known, err
		}
		known.front = frontConfig(sought.front)
	}
	if !o.Authentication.TolerateInClusterLookupFailure {
		err = c.readyOnce("cluster-authentication", sought.check)
	}
	return known, err
}

// newFront follows how the aggregation layer speaks for users. The framework's
// options do the same, but give up for good if the cluster is away at the start.
func newFront(client kubernetes.Interface) (*genericoptions.DynamicRequestHeaderController, error) {
	ca, err := dynamiccertificates.NewDynamicCAFromConfigMapController(
		"request-header", metav1.NamespaceSystem, authenticationConfigMap, frontCAKey, client)
	if err != nil {
		return nil, err
	}
	return &genericoptions.DynamicRequestHeaderController{
		ConfigMapCAController: ca,
		RequestHeaderAuthRequestController: headerrequest.NewRequestHeaderAuthRequestController(
			authenticationConfigMap, metav1.NamespaceSystem, client,
			frontUsersKey, "requestheader-uid-headers", "requestheader-group-headers",
			"requestheader-extra-headers-prefix", "requestheader-allowed-names"),
	}, nil
}

func frontConfig(front *genericoptions.DynamicRequestHeaderController) *authenticatorfactory.RequestHeaderConfig {
	return &authenticatorfactory.RequestHeaderConfig{
		CAContentProvider:   front,
		UsernameHeaders:     headerrequest.StringSliceProviderFunc(front.UsernameHeaders),
		UIDHeaders:          headerrequest.StringSliceProviderFunc(front.UIDHeaders),
		GroupHeaders:        headerrequest.StringSliceProviderFunc(front.GroupHeaders),
		ExtraHeaderPrefixes: headerrequest.StringSliceProviderFunc(front.ExtraHeaderPrefixes),
		AllowedClientNames:  headerrequest.StringSliceProviderFunc(front.AllowedClientNames),
	}
}

// lookup finds out whether what is looked up in the cluster has arrived.
type lookup struct {
	client   kubernetes.Interface
	clientCA dynamiccertificates.CAContentProvider
	// front is nil where it isn't looked up.
	front *genericoptions.DynamicRequestHeaderController
}

func (l lookup) check(ctx context.Context) error {
	configMap, err := l.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, authenticationConfigMap, metav1.GetOptions{})
	if err != nil {
		return err
	}
	missing := configMap.Data[clientCAKey] != "" && len(l.clientCA.CurrentCABundleContent()) == 0
	if l.front != nil {
		missing = missing ||
			configMap.Data[frontCAKey] != "" && len(l.front.CurrentCABundleContent()) == 0 ||
			configMap.Data[frontUsersKey] != "" && len(l.front.UsernameHeaders()) == 0
	}
	if missing {
		return errors.New("it has not arrived yet")
	}
	return nil
}

// readyOnce keeps the server from being ready until a check has succeeded, which
// is not asked again. Liveness is another matter: a restart would help nothing.
func (c *Config) readyOnce(name string, check func(context.Context) error) error {
	var done atomic.Bool
	c.Generic.AddReadyzChecks(healthz.NamedCheck(name, func(*http.Request) error {
		if !done.Load() {
			return fmt.Errorf("%s/%s has not been looked up in the cluster yet", metav1.NamespaceSystem, authenticationConfigMap)
		}
		return nil
	}))
	// Soon again at first, since informers take a moment, and rarely in the end.
	backoff := wait.Backoff{Duration: 50 * time.Millisecond, Factor: 1.5, Steps: 20, Cap: 5 * time.Second}
	return c.Generic.AddPostStartHook(name, func(hook genericapiserver.PostStartHookContext) error {
		go func() {
			err := backoff.DelayFunc().Until(hook, true, true, func(ctx context.Context) (bool, error) {
				if err := check(ctx); err != nil {
					klog.InfoS("Waiting for the cluster's authentication configuration", "reason", err)
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

// reviewsOfCluster has the cluster say what users may do.
func reviewsOfCluster(o *options.Options) (authorizer.Authorizer, error) {
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
