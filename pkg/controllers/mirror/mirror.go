package mirror

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
)

// Component is the name of the controller in events.
const Component = "portolan-mirror"

const (
	services       = "services"
	endpoints      = "endpoints"
	endpointSlices = "endpointslices"

	// byService is the index of slices by the Service that they belong to.
	byService = "mirror/service"
	// conflictRetry is how often the copy of an object is tried again that conflicts
	// with Portolan's own. A change of Portolan's Services makes it sooner.
	conflictRetry = 30 * time.Second
	// conflictPause is how long after such a change.
	conflictPause = time.Second
)

func resources() []string { return []string{services, endpoints, endpointSlices} }

// Config configures a mirror.
type Config struct {
	// Cluster is the client of the cluster.
	Cluster kubernetes.Interface
	// Portolan writes the copies.
	Portolan rest.Interface
	// Informers are those of Portolan's objects.
	Informers informers.SharedInformerFactory
	// Recorder records events about objects of the cluster.
	Recorder record.EventRecorder
	// Status is shared by all terms of this process.
	Status *Status
	// OwnKubernetes is true if the Service kubernetes is Portolan's own.
	OwnKubernetes bool
}

// Mirror copies a cluster's Services, Endpoints and EndpointSlices.
type Mirror struct {
	Config
	// address is that of the cluster.
	address string
	source  informers.SharedInformerFactory
	kinds   map[string]kind
	loop    *reconcile.Loop
}

// kind has the objects of one resource in the cluster and in Portolan.
type kind struct {
	source, ours cache.SharedIndexInformer
	// serviceOf returns the name of an object's Service, or "".
	serviceOf func(metav1.Object) string
}

// key names an object of one resource.
type key struct {
	resource string
	cache.ObjectName
}

func (k key) String() string { return k.resource + "/" + k.ObjectName.String() }

func parseKey(text string) key {
	resource, name, _ := strings.Cut(text, "/")
	parsed, _ := cache.ParseObjectName(name)
	return key{resource, parsed}
}

// New makes a mirror and adds its event handlers to the informers, which must not have
// been started.
func New(c Config) (*Mirror, error) {
	source := informers.NewSharedInformerFactory(c.Cluster, 0)
	url := c.Cluster.CoreV1().RESTClient().Get().URL()
	m := &Mirror{Config: c, source: source, address: url.Scheme + "://" + url.Host}
	ofName := func(obj metav1.Object) string { return obj.GetName() }
	ofLabel := func(obj metav1.Object) string { return obj.GetLabels()[discoveryv1.LabelServiceName] }
	m.kinds = map[string]kind{
		services:       {source.Core().V1().Services().Informer(), c.Informers.Core().V1().Services().Informer(), ofName},
		endpoints:      {source.Core().V1().Endpoints().Informer(), c.Informers.Core().V1().Endpoints().Informer(), ofName},
		endpointSlices: {source.Discovery().V1().EndpointSlices().Informer(), c.Informers.Discovery().V1().EndpointSlices().Informer(), ofLabel},
	}
	m.loop = reconcile.New("mirror", m.measured)
	index := cache.Indexers{byService: func(obj any) ([]string, error) {
		slice := obj.(*discoveryv1.EndpointSlice)
		return []string{types.NamespacedName{Namespace: slice.Namespace, Name: ofLabel(slice)}.String()}, nil
	}}
	for resource, k := range m.kinds {
		for _, informer := range []cache.SharedIndexInformer{k.source, k.ours} {
			if resource == endpointSlices {
				if err := informer.AddIndexers(index); err != nil {
					return nil, err
				}
			}
			if err := m.handle(resource, informer); err != nil {
				return nil, err
			}
		}
	}
	_, err := m.kinds[services].ours.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) {
			if !equality.Semantic.DeepEqual(before.(*corev1.Service).Spec, after.(*corev1.Service).Spec) {
				m.retryConflicts()
			}
		},
		DeleteFunc: func(any) { m.retryConflicts() },
	})
	return m, err
}

// handle enqueues the objects of a resource when they change, and with a Service its
// endpoints.
func (m *Mirror) handle(resource string, informer cache.SharedIndexInformer) error {
	enqueue := func(obj any, withEndpoints bool) {
		name, err := cache.DeletionHandlingObjectToName(obj)
		if err != nil {
			return
		}
		m.add(key{resource, name}.String())
		if withEndpoints && resource == services {
			m.addEndpoints(name)
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { enqueue(obj, true) },
		UpdateFunc: func(before, after any) {
			old, current := before.(metav1.Object), after.(metav1.Object)
			another := old.GetUID() != current.GetUID() || v1.IsMirrored(old) != v1.IsMirrored(current) || ignored(old) != ignored(current)
			enqueue(after, another)
		},
		DeleteFunc: func(obj any) { enqueue(obj, true) },
	})
	return err
}

// addEndpoints enqueues the Endpoints and slices of a Service.
func (m *Mirror) addEndpoints(service cache.ObjectName) {
	m.add(key{endpoints, service}.String())
	for _, informer := range []cache.SharedIndexInformer{m.kinds[endpointSlices].source, m.kinds[endpointSlices].ours} {
		found, err := informer.GetIndexer().IndexKeys(byService, service.String())
		if err != nil {
			continue
		}
		for _, name := range found {
			m.add(endpointSlices + "/" + name)
		}
	}
}

// add enqueues an object that has changed.
func (m *Mirror) add(key string) {
	m.Status.changed(key, time.Now())
	m.loop.Add(key)
}

// measured is sync, and records which changes wait.
func (m *Mirror) measured(ctx context.Context, key string) error {
	done := m.Status.begin(key)
	err := m.sync(ctx, key)
	done(err == nil)
	return err
}

// retryConflicts enqueues what could not be copied.
func (m *Mirror) retryConflicts() {
	for _, unresolved := range m.Status.unresolved() {
		m.loop.AddAfter(unresolved, conflictPause)
	}
}

// Run runs the workers until the context ends. Portolan's informers must have synced. It
// first waits until the cluster's objects can be read.
func (m *Mirror) Run(ctx context.Context, workers int) {
	defer m.Status.reset()
	if !m.awaitRights(ctx) {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	m.source.StartWithContext(ctx)
	defer m.source.Shutdown()
	defer cancel()
	if m.source.WaitForCacheSyncWithContext(ctx).AsError() != nil || !m.isCluster(ctx) {
		return
	}
	m.Status.started()
	m.loop.Run(ctx, workers)
}
