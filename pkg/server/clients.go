package server

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/client-go/dynamic"
	clientgoinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/tracing"

	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// clients are clients of the cluster or, for a standalone server, of the server itself.
type clients struct {
	kubernetes kubernetes.Interface
	dynamic    dynamic.Interface
	informers  clientgoinformers.SharedInformerFactory
}

func (c *Config) newClients(o *options.Options) (clients, error) {
	generic := c.Generic
	config := unlimited(generic.LoopbackClientConfig)
	// Every answer about Endpoints has a warning that they are deprecated.
	config.WarningHandlerWithContext = rest.NoWarnings{}
	if o.InCluster() {
		var err error
		if config, err = o.ClusterConfig(); err != nil {
			return clients{}, err
		}
		config.Wrap(tracing.WrapperFor(generic.TracerProvider))
		generic.ClientConfig, c.Extra.HasCluster = config, true
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return clients{}, fmt.Errorf("client of the cluster: %w", err)
	}
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		return clients{}, fmt.Errorf("client of the cluster: %w", err)
	}
	informers := clientgoinformers.NewSharedInformerFactory(client, informerResync)
	return clients{kubernetes: client, dynamic: dynamicClient, informers: informers}, nil
}

// namespaceLabels returns the labels of namespaces from the informer of the plugin
// NamespaceLifecycle. A namespace that the informer does not have yet is read: a Service is
// often created right after its namespace. So are all if the plugin is disabled, as the
// server may then not have the right to watch them. A standalone server without the core
// API groups has no namespaces, and only knows their names.
func (c clients) namespaceLabels(o *options.Options) claims.NamespaceLabels {
	if !o.InCluster() && !o.Core() {
		return func(_ context.Context, namespace string) (labels.Set, error) { return onlyName(namespace), nil }
	}
	read := func(ctx context.Context, name string) (labels.Set, error) {
		namespace, err := c.kubernetes.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return onlyName(name), nil
		}
		if err != nil {
			return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("the labels of namespace %q, which select ranges, can't be read: %v", name, err))
		}
		return namespace.Labels, nil
	}
	if slices.Contains(o.Admission.DisablePlugins, lifecycle.PluginName) {
		return read
	}
	lister := c.informers.Core().V1().Namespaces().Lister()
	return func(ctx context.Context, name string) (labels.Set, error) {
		if namespace, err := lister.Get(name); err == nil {
			return namespace.Labels, nil
		}
		return read(ctx, name)
	}
}

// onlyName returns the label that every namespace has.
func onlyName(namespace string) labels.Set { return labels.Set{corev1.LabelMetadataName: namespace} }

// unlimited removes the client-side rate limit. It would slow down all users of the client
// because of one. The server has priority and fairness.
func unlimited(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.QPS = -1
	return config
}
