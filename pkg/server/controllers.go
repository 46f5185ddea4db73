package server

import (
	"context"
	"fmt"
	"sync"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// applyControllers sets up the controllers, where they run in this process.
func (c *Config) applyControllers(o *options.Options) error {
	if !o.HasControllers() {
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
	// Who asks too much is slowed down by the server, not by a limit of the
	// client, which would slow down all controllers for one.
	portolan := rest.CopyConfig(c.Generic.LoopbackClientConfig)
	portolan.QPS = -1
	c.Extra.Controllers = &controllers.Config{Cluster: cluster, Portolan: portolan, Options: o.Controllers}
	return nil
}

// addControllers runs the controllers from when the server serves until it is
// about to stop: while they end it still takes what they write.
func addControllers(generic *genericapiserver.GenericAPIServer, config controllers.Config) {
	const name = "portolan-controllers"
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	generic.AddPostStartHookOrDie(name, func(genericapiserver.PostStartHookContext) error {
		running.Go(func() {
			if err := controllers.Run(ctx, config); err != nil {
				klog.FromContext(ctx).Error(err, "The controllers can't run")
			}
		})
		return nil
	})
	generic.AddPreShutdownHookOrDie(name, func() error {
		stop()
		running.Wait()
		return nil
	})
}
