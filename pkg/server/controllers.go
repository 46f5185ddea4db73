package server

import (
	"context"
	"fmt"
	"path"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/pkg/controllers/mirror"
	"github.com/portolan-dev/portolan/pkg/controllers/writeback"
	"github.com/portolan-dev/portolan/pkg/customresources"
	"github.com/portolan-dev/portolan/pkg/etcdlock"
	"github.com/portolan-dev/portolan/pkg/metrics"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/storage/source"
)

// applyControllers sets up the controllers, if they run in this process.
func (c *Config) applyControllers(o *options.Options) error {
	if !o.HasControllers() {
		return nil
	}
	ranges, err := versioned.NewForConfig(unlimited(c.Generic.LoopbackClientConfig))
	if err != nil {
		return fmt.Errorf("client of the server itself: %w", err)
	}
	leadership := controllers.NewLeadership()
	c.Extra.Metrics.Register(metrics.NewLeaderCollector(leadership))
	if !o.InCluster() {
		etcd, key := c.Extra.Store.Client, path.Join("/", o.Etcd.StorageConfig.Prefix, v1.GroupName, "leaders",
			o.Controllers.LeaderElection.ResourceName)
		c.Extra.Controllers = &controllers.Config{
			Cluster: c.Extra.Core.Client, Ranges: ranges, Unscheduled: true, Options: standaloneControllers(o), Leadership: leadership,
			Loopback: c.Extra.ServiceProxy.Loopback(),
			Lock:     func(identity string) resourcelock.Interface { return etcdlock.New(etcd, key, identity) },
		}
		c.Extra.CollectsGarbage = o.Etcd.EnableGarbageCollection
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
	status := mirror.NewStatus()
	if o.Controllers.MirrorClusterServices {
		c.Extra.Metrics.Register(metrics.NewMirrorCollector(status))
	}
	written := writeback.NewStatus()
	if o.Controllers.WriteBackServices {
		c.Extra.Metrics.Register(metrics.NewWriteBackCollector(written))
	}
	c.Extra.Controllers = &controllers.Config{
		Cluster: cluster, Portolan: portolan, Ranges: ranges, Options: o.Controllers, Leadership: leadership, Mirrored: status,
		OwnKubernetes: o.KeepsKubernetesService(), WriteBack: config, WrittenBack: written,
	}
	return nil
}

// standaloneControllers returns the options of the controllers of a standalone server. On
// an embedded etcd it has no replicas and needs no leader election. The Lease of earlier
// releases is in kube-system, which always exists, unless a flag names another namespace.
func standaloneControllers(o *options.Options) *controllers.Options {
	standalone := *o.Controllers
	standalone.LeaderElection.LeaderElect = standalone.LeaderElection.LeaderElect && !o.Embedded()
	if standalone.LeaderElection.ResourceNamespace == controllers.NewOptions().LeaderElection.ResourceNamespace {
		standalone.LeaderElection.ResourceNamespace = metav1.NamespaceSystem
	}
	return &standalone
}

// leaderSilence is how long no process may run the controllers before leaderDetail reports
// it. An orderly change of the leader takes less.
const leaderSilence = time.Minute

// leaderDetail reports whether a process runs the controllers.
func leaderDetail(current func() controllers.Leader) detail {
	return detail{name: "controllers-leader", problem: func() string {
		leader := current()
		if leader.Silent < leaderSilence {
			return ""
		}
		return fmt.Sprintf("no process has run the controllers for %v: Endpoints and EndpointSlices don't follow Pods",
			leader.Silent.Round(time.Second))
	}}
}

// addControllers runs the controllers beside the server, if they run in this process.
func (c CompletedConfig) addControllers(generic *genericapiserver.GenericAPIServer, custom *customresources.Server,
	storage *registry.Storage) error {
	if c.Extra.Controllers == nil {
		return nil
	}
	config := *c.Extra.Controllers
	if c.Extra.Core != nil {
		config.Sources = controllerSources(storage, c.Extra.Scheme)
	}
	if c.Extra.CollectsGarbage {
		collector, err := c.garbageCollector(storage, custom.Definitions())
		if err != nil {
			return err
		}
		config.GarbageCollector = collector
	}
	runInBackground(generic, "portolan-controllers", func(ctx context.Context) {
		if err := controllers.Run(ctx, config); err != nil {
			klog.FromContext(ctx).Error(err, "The controllers can't run")
		}
	})
	return nil
}

// controllerSources returns the stores of what the controllers watch on a standalone server.
// Without them, each change of a Service would be encoded and decoded once more.
func controllerSources(storage *registry.Storage, scheme *runtime.Scheme) []controllers.Stored {
	convertor := runtime.UnsafeObjectConvertor(scheme)
	own := func(resource string, version schema.GroupVersion) source.Source {
		return source.In(version, convertor, storage.Store(v1.Resource(resource)))
	}
	return []controllers.Stored{
		{Example: &corev1.Service{}, Source: own("services", corev1.SchemeGroupVersion)},
		{Example: &corev1.Endpoints{}, Source: own("endpoints", corev1.SchemeGroupVersion)},
		{Example: &discoveryv1.EndpointSlice{}, Source: own("endpointslices", discoveryv1.SchemeGroupVersion)},
		{Example: &corev1.Pod{}, Source: storage.Store(corev1.Resource("pods"))},
		{Example: &corev1.Node{}, Source: storage.Store(corev1.Resource("nodes"))},
	}
}

// runInBackground calls run when the server serves, and cancels its context before the
// server stops. The server still answers requests while run returns.
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
