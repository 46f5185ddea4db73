package server

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	clientgoinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
	"github.com/portolan-dev/portolan/pkg/rbac"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/standalone/namespaces"
	"github.com/portolan-dev/portolan/pkg/standalone/roles"
	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/pkg/users/removed"
)

// CoreConfig is for a standalone server with the core API groups, which runs controllers of
// namespaces.
type CoreConfig struct {
	// Client is a client of the server itself.
	Client    kubernetes.Interface
	Informers clientgoinformers.SharedInformerFactory
	// CustomResources returns the namespaced custom resources. It is nil for a server without
	// custom resources.
	CustomResources namespaces.CustomResources
	// EventTTL is how long Events are kept.
	EventTTL time.Duration
	// Policy decides by roles and bindings.
	Policy *rbac.Policy
	// Removed are users without rights.
	Removed *removed.Users
	// ClientCA has the authorities of client certificates.
	ClientCA dynamiccertificates.CAContentProvider
	// Authorities are those of the server's certificate, as PEM. They are published in every
	// namespace. Nil leaves the contents of namespaces alone.
	Authorities []byte
}

// install adds the controllers of a standalone server's namespaces and roles.
func (c *CoreConfig) install(generic *genericapiserver.GenericAPIServer, storage *registry.Storage) error {
	client, informers := c.Client, c.Informers
	resources := storage.NamespacedResources()
	deletion, err := namespaces.NewDeletion(client.CoreV1().Namespaces(), informers.Core().V1().Namespaces(), resources, c.CustomResources)
	if err != nil {
		return err
	}
	if err := c.installRoles(generic); err != nil {
		return err
	}
	if err := c.installAuthorities(generic); err != nil {
		return err
	}
	store := storage.Store(corev1.Resource("namespaces"))
	generic.AddPostStartHookOrDie("portolan-namespaces", func(hook genericapiserver.PostStartHookContext) error {
		tryUntilDone(hook, "namespaces", func(ctx context.Context) error { return namespaces.Prepare(ctx, store, resources) })
		return nil
	})
	if err := generic.AddReadyzChecks(syncedCheck("namespaces", informers.Core().V1().Namespaces().Informer().HasSynced)); err != nil {
		return err
	}
	runInBackground(generic, "portolan-core", func(ctx context.Context) {
		informers.StartWithContext(ctx)
		var running sync.WaitGroup
		running.Go(func() { namespaces.Keep(ctx, store) })
		running.Go(func() { deletion.Run(ctx) })
		running.Wait()
		informers.Shutdown()
	})
	return nil
}

// installRoles adds the roles and bindings that the server has from the start, and then makes
// the policy follow all of them: once the server is ready, every user has its rights.
func (c *CoreConfig) installRoles(generic *genericapiserver.GenericAPIServer) error {
	// Removed users must be known before anything is written.
	removals := clientgoinformers.NewSharedInformerFactoryWithOptions(c.Client, 0, clientgoinformers.WithTransform(removed.OnlyRemoved))
	if err := c.Removed.Follow(removals.Rbac().V1().ClusterRoleBindings()); err != nil {
		return err
	}
	informers := clientgoinformers.NewSharedInformerFactory(c.Client, 0)
	synced, err := c.Policy.Follow(informers.Rbac().V1())
	if err != nil {
		return err
	}
	aggregation, err := roles.NewAggregation(c.Client.RbacV1().ClusterRoles(), informers.Rbac().V1().ClusterRoles())
	if err != nil {
		return err
	}
	runInBackground(generic, "portolan-roles", func(ctx context.Context) {
		removals.StartWithContext(ctx)
		tryUntilDone(ctx, "roles", func(ctx context.Context) error {
			return roles.Ensure(ctx, c.Client, users.Roles(registry.Resources()), users.Bindings())
		})
		informers.StartWithContext(ctx)
		aggregation.Run(ctx)
		informers.Shutdown()
		removals.Shutdown()
	})
	return generic.AddReadyzChecks(syncedCheck("roles", func() bool { return c.Removed.HasSynced() && synced() }))
}

// tryUntilDone retries a step of the startup until it succeeds or the server stops. The
// server is not ready before. An error of a post-start hook would end the server.
func tryUntilDone(ctx context.Context, what string, try func(context.Context) error) {
	err := wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		finishing, cancel := reconcile.Finishing(ctx)
		defer cancel()
		err := try(finishing)
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "A step of the startup failed and is retried", "what", what)
		}
		return err == nil, nil
	})
	if err != nil {
		klog.FromContext(ctx).Info("The server stopped before a step of the startup succeeded", "what", what)
	}
}
