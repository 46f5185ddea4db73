package server

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	clientgoinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/standalone/kubernetesservice"
	"github.com/portolan-dev/portolan/pkg/standalone/namespaces"
)

// CoreConfig is what a server has that serves what clients need beside Services:
// a client of itself, for what such a server does of itself, and informers that
// go by it.
type CoreConfig struct {
	Client    kubernetes.Interface
	Informers clientgoinformers.SharedInformerFactory
	// EventTTL is how long Events are kept.
	EventTTL time.Duration
	// Advertise is nil where the Service kubernetes is not kept.
	Advertise *kubernetesservice.Config
}

func newCoreConfig(o *options.Options, client kubernetes.Interface, informers clientgoinformers.SharedInformerFactory,
	store *etcd.Store) *CoreConfig {
	core := &CoreConfig{Client: client, Informers: informers, EventTTL: o.EventTTL}
	if o.KubernetesService {
		core.Advertise = &kubernetesservice.Config{
			Client: client, Etcd: store.Client, Prefix: o.Etcd.StorageConfig.Prefix, Address: o.Advertised(), Port: o.SecureServing.BindPort,
		}
	}
	return core
}

// install adds the controllers of a standalone server: of its namespaces and of the
// Service kubernetes.
func (c *CoreConfig) install(generic *genericapiserver.GenericAPIServer, storage *registry.Storage) error {
	client, informers := c.Client, c.Informers
	resources := storage.NamespacedResources()
	deletion, err := namespaces.NewDeletion(client.CoreV1().Namespaces(), informers.Core().V1().Namespaces(), resources)
	if err != nil {
		return err
	}
	made := storage.Store(corev1.Resource("namespaces"))
	generic.AddPostStartHookOrDie("portolan-namespaces", func(hook genericapiserver.PostStartHookContext) error {
		tryUntilDone(hook, "namespaces", func(ctx context.Context) error { return namespaces.Prepare(ctx, made, resources) })
		return nil
	})
	informersSynced := informers.Core().V1().Namespaces().Informer().HasSynced
	if err := generic.AddReadyzChecks(synced("namespaces", informersSynced)); err != nil {
		return err
	}
	runInBackground(generic, "portolan-core", func(ctx context.Context) {
		informers.StartWithContext(ctx)
		var running sync.WaitGroup
		running.Go(func() { namespaces.Keep(ctx, made) })
		running.Go(func() { deletion.Run(ctx) })
		if keep := c.Advertise; keep != nil {
			running.Go(func() { kubernetesservice.Run(ctx, *keep) })
		}
		running.Wait()
		informers.Shutdown()
	})
	return nil
}

// tryUntilDone tries something that a server does once, until it has been done
// or the server stops. It isn't ready before. A hook that fails would end it.
func tryUntilDone(hook genericapiserver.PostStartHookContext, what string, try func(context.Context) error) {
	err := wait.PollUntilContextCancel(hook, time.Second, true, func(ctx context.Context) (bool, error) {
		err := try(ctx)
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "The server can't prepare what it serves, and tries again", "what", what)
		}
		return err == nil, nil
	})
	if err != nil {
		klog.FromContext(hook).Info("The server stopped before it could prepare what it serves", "what", what)
	}
}
