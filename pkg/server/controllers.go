package server

import (
	"context"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// applyControllers sets up the controllers, where they run in this process.
func (c *Config) applyControllers(o *options.Options) error {
	if !o.HasControllers() {
		return nil
	}
	if !o.InCluster() {
		c.Extra.Controllers = &controllers.Config{Cluster: c.Extra.Core.Client, Unscheduled: true, Options: ownControllers(o)}
		return nil
	}
	config, err := o.ClusterConfig()
	if err != nil {
		return err
	}
	cluster, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client of the cluster: %w", err)
	}
	portolan := unlimited(c.Generic.LoopbackClientConfig)
	c.Extra.Controllers = &controllers.Config{Cluster: cluster, Portolan: portolan, Options: o.Controllers}
	return nil
}

// ownControllers are the options of the controllers of a server without a
// cluster. A server on its embedded etcd has no replicas that it could wait for.
// With replicas the lease is in a namespace that is always there, unless the
// flags name another than a cluster's.
func ownControllers(o *options.Options) *controllers.Options {
	own := *o.Controllers
	own.LeaderElection.LeaderElect = own.LeaderElection.LeaderElect && !o.Embedded()
	if own.LeaderElection.ResourceNamespace == controllers.NewOptions().LeaderElection.ResourceNamespace {
		own.LeaderElection.ResourceNamespace = metav1.NamespaceSystem
	}
	return &own
}

// addControllers runs the controllers beside the server.
func addControllers(generic *genericapiserver.GenericAPIServer, config controllers.Config) {
	runInBackground(generic, "portolan-controllers", func(ctx context.Context) {
		if err := controllers.Run(ctx, config); err != nil {
			klog.FromContext(ctx).Error(err, "The controllers can't run")
		}
	})
}

// runInBackground runs something from when the server serves until it is about
// to stop: while that ends the server still answers it.
func runInBackground(generic *genericapiserver.GenericAPIServer, name string, run func(context.Context)) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	generic.AddPostStartHookOrDie(name, func(genericapiserver.PostStartHookContext) error {
		running.Go(func() { run(ctx) })
		return nil
	})
	generic.AddPreShutdownHookOrDie(name, func() error {
		stop()
		running.Wait()
		return nil
	})
}
