package storage

import (
	"context"
	"fmt"
	"path"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/api/apitesting"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/etcd3/testserver"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	suite "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/portolan-dev/portolan/pkg/etcd/etcdtest"
	"github.com/portolan-dev/portolan/pkg/storage/atomicwatch"
	"github.com/portolan-dev/portolan/pkg/txn"
)

var scheme = runtime.NewScheme()

func init() {
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
}

func jsonCodec() runtime.Codec {
	return apitesting.TestCodec(serializer.NewCodecFactory(scheme), examplev1.SchemeGroupVersion)
}

func protoCodec() runtime.Codec {
	pb := protobuf.NewSerializer(scheme, scheme)
	return serializer.NewCodecFactory(scheme).CodecForVersions(pb, pb, schema.GroupVersions{examplev1.SchemeGroupVersion}, nil)
}

const (
	valuePrefix = "test!"
	podPrefix   = "/pods/"
)

var pods = schema.GroupResource{Resource: "pods"}

func newPod() runtime.Object     { return &example.Pod{} }
func newPodList() runtime.Object { return &example.PodList{} }

// planned is in the place of the layer of claims. Every write has a plan, with a key that
// is written and deleted together with the object.
type planned struct{ storage.Interface }

const claimPrefix = "/claims"

func withClaim(ctx context.Context, key string) context.Context {
	return txn.WithPlan(ctx, &txn.Plan{
		Guards: []txn.Guard{{Key: "/never", Revision: 0}},
		Puts:   []txn.Put{{Key: path.Join(claimPrefix, key), Value: []byte("held")}},
	})
}

func (p planned) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	return p.Interface.Create(withClaim(ctx, key), key, obj, out, ttl)
}

func (p planned) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) error {
	return p.Interface.GuaranteedUpdate(withClaim(ctx, key), key, destination, ignoreNotFound, preconditions, tryUpdate, cached)
}

func (p planned) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) error {
	ctx = txn.WithPlan(ctx, &txn.Plan{Deletes: []string{path.Join(claimPrefix, key)}})
	return p.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts)
}

// readRecorder reports each range that is read to the suite's recorder of lists, because
// the decorated client cannot be replaced by a recording one.
type readRecorder struct {
	*suite.KVRecorder
	lists *suite.KubernetesRecorder
}

func (r readRecorder) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if op := clientv3.OpGet(key, opts...); len(op.RangeBytes()) > 0 && !op.IsCountOnly() {
		if _, err := r.lists.List(ctx, key, kubernetes.ListOptions{Revision: op.Rev(), Limit: op.Limit()}); err != nil {
			return nil, err
		}
	}
	return r.KVRecorder.Get(ctx, key, opts...)
}

// noLists is the client whose calls the recorder of lists records.
type noLists struct{ kubernetes.Interface }

func (noLists) List(context.Context, string, kubernetes.ListOptions) (kubernetes.ListResponse, error) {
	return kubernetes.ListResponse{}, nil
}

// stack is a storage stack for a function of the suite.
type stack struct {
	storage.Interface
	client      *clientv3.Client
	reads       *suite.KVRecorder
	lists       *suite.KubernetesRecorder
	transformer *switchable
	codec       runtime.Codec
	setup       *setup
}

// UpdatePrefixTransformer implements suite.InterfaceWithPrefixTransformer.
func (s *stack) UpdatePrefixTransformer(modify suite.PrefixTransformerModifier) func() {
	changed := *s.transformer.get().(*suite.PrefixTransformer)
	return s.transformer.exchange(modify(&changed))
}

// UpdateTransformer implements suite.InterfaceWithTransformerOverride.
func (s *stack) UpdateTransformer(modify suite.TransformerModifier) func() {
	return s.transformer.exchange(modify(s.transformer.get()))
}

type setup struct {
	codec         runtime.Codec
	transformer   value.Transformer
	keyFunc       func(runtime.Object) (string, error)
	attributes    storage.AttrFunc
	indexerFuncs  map[string]storage.IndexerFunc
	indexers      cache.Indexers
	notifyOfEtcd  bool
	estimateSizes bool
	malformed     bool
	fastPages     bool
	// aroundCache wraps the watch cache, below the upper layer of package atomicwatch.
	aroundCache func(storage.Interface) storage.Interface
}

func (o *setup) start(t testing.TB) *stack {
	t.Helper()
	client := o.client(t)
	lists := suite.NewKubernetesRecorder(noLists{})
	reads := suite.NewKVRecorder(client.KV, lists)
	client.KV = readRecorder{reads, lists}
	if o.transformer == nil {
		o.transformer = suite.NewPrefixTransformer([]byte(valuePrefix), false)
	}
	return &stack{client: client, reads: reads, lists: lists, transformer: newSwitchable(o.transformer), codec: o.codec}
}

func (o *setup) client(t testing.TB) *clientv3.Client {
	if o.notifyOfEtcd {
		config := testserver.NewTestConfig(t)
		config.WatchProgressNotifyInterval = time.Second
		return testserver.RunEtcd(t, config).Client
	}
	return etcdtest.Start(t).Client
}

func (s *stack) getter(t testing.TB, prefix string) *Getter {
	compactor := etcd3.NewCompactor(s.client, 0, clock.RealClock{}, nil)
	t.Cleanup(compactor.Stop)
	config := storagebackend.NewDefaultConfig(prefix, s.codec)
	config.Transformer = s.transformer
	// The library's tests do the same. The suite waits for 30 s at most.
	config.LeaseManagerConfig.ReuseDurationSeconds = 1
	return &Getter{
		Options:   generic.RESTOptions{StorageConfig: config.ForResource(pods), ResourcePrefix: "pods"},
		Client:    s.client,
		Compactor: compactor,
		Layer:     func(inner storage.Interface) storage.Interface { return planned{inner} },
		Batched:   true,
	}
}

// uncached returns a stack without a watch cache.
func uncached(t *testing.T, options ...func(*setup)) *stack {
	t.Helper()
	o := &setup{codec: jsonCodec()}
	for _, option := range options {
		option(o)
	}
	s := o.start(t)
	getter := s.getter(t, "")
	rest, err := getter.GetRESTOptions(pods, &example.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	inner, closeStore, err := getter.store(rest.StorageConfig, podPrefix, newPod, newPodList)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeStore)
	if o.estimateSizes {
		if err := inner.EnableResourceSizeEstimation(s.podKeys); err != nil {
			t.Fatal(err)
		}
	}
	if o.malformed {
		inner = etcd3.NewStoreWithUnsafeCorruptObjectDeletion(inner, pods)
	}
	s.Interface = planned{inner}
	return s
}

func (s *stack) podKeys(ctx context.Context) ([]string, error) {
	response, err := s.client.Get(ctx, podPrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, kv := range response.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys, nil
}

// cachedStack returns a stack with a watch cache, as the server has it.
func cachedStack(t testing.TB, options ...func(*setup)) *stack {
	t.Helper()
	o := &setup{
		codec:      protoCodec(),
		keyFunc:    func(obj runtime.Object) (string, error) { return storage.NamespaceKeyFunc(podPrefix, obj) },
		attributes: podAttributes,
	}
	for _, option := range options {
		option(o)
	}
	return o.start(t).cached(t, o)
}

// cached returns a stack with its own watch cache on the etcd of another stack, as another
// server has it, or the same server after a restart.
func (s *stack) cached(t testing.TB, o *setup) *stack {
	t.Helper()
	getter := s.getter(t, "/registry")
	getter.FastPages = o.fastPages
	var above func(storage.Interface) storage.Interface
	if o.aroundCache != nil {
		getter.Batched = false
		getter.Layer = func(inner storage.Interface) (below storage.Interface) {
			below, above = atomicwatch.Around(planned{inner}, newPod)
			return below
		}
	}
	rest, err := getter.GetRESTOptions(pods, &example.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	top, destroy, err := rest.Decorator(rest.StorageConfig, podPrefix, o.keyFunc, newPod, newPodList, o.attributes, o.indexerFuncs,
		&o.indexers)
	if err != nil {
		t.Fatal(err)
	}
	if o.aroundCache != nil {
		top = above(o.aroundCache(top))
	}
	t.Cleanup(destroy)
	if err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, wait.ForeverTestTimeout, true,
		func(context.Context) (bool, error) {
			return top.ReadinessCheck() == nil, nil
		}); err != nil {
		t.Fatal(err)
	}
	again := *s
	again.Interface, again.setup = top, o
	return &again
}

// again returns the stack of a server that starts now.
func (s *stack) again(t *testing.T) *stack {
	t.Helper()
	return s.cached(t, s.setup)
}

func podAttributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	pod, ok := obj.(*example.Pod)
	if !ok {
		return nil, nil, fmt.Errorf("a %T is not a pod", obj)
	}
	return pod.Labels, fields.Set{
		"metadata.name":      pod.Name,
		"metadata.namespace": pod.Namespace,
		"spec.nodeName":      pod.Spec.NodeName,
		"spec.restartPolicy": string(pod.Spec.RestartPolicy),
		"status.phase":       string(pod.Status.Phase),
	}, nil
}

func clusterScoped(o *setup) {
	o.keyFunc = func(obj runtime.Object) (string, error) { return storage.NoNamespaceKeyFunc(podPrefix, obj) }
}

func indexed(o *setup) {
	o.indexerFuncs = map[string]storage.IndexerFunc{
		"spec.nodeName": func(obj runtime.Object) string { return obj.(*example.Pod).Spec.NodeName },
	}
	o.indexers = cache.Indexers{
		"f:spec.nodeName":      func(obj any) ([]string, error) { return []string{obj.(*example.Pod).Spec.NodeName}, nil },
		"f:metadata.namespace": func(obj any) ([]string, error) { return []string{obj.(*example.Pod).Namespace}, nil },
	}
}

func notifying(o *setup) { o.notifyOfEtcd = true }

func deletingMalformed(o *setup) { o.malformed = true }

func withCodec(codec runtime.Codec) func(*setup) { return func(o *setup) { o.codec = codec } }

func withTransformer(transformer value.Transformer) func(*setup) {
	return func(o *setup) { o.transformer = transformer }
}

// stored checks the contents of etcd after a write: the object without the metadata that
// is set on read, and its claim at the same revision.
func (s *stack) stored(ctx context.Context, t *testing.T, key string) {
	object, err := s.client.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if len(object.Kvs) == 0 {
		t.Fatalf("nothing at %s", key)
	}
	decoded, err := runtime.Decode(s.codec, object.Kvs[0].Value[len(valuePrefix):])
	if err != nil {
		t.Fatal(err)
	}
	if pod := decoded.(*example.Pod); pod.ResourceVersion != "" || pod.SelfLink != "" {
		t.Errorf("stored with resourceVersion %q, selfLink %q", pod.ResourceVersion, pod.SelfLink)
	}
	claim, err := s.client.Get(ctx, path.Join(claimPrefix, key))
	if err != nil {
		t.Fatal(err)
	}
	if len(claim.Kvs) == 0 || claim.Kvs[0].ModRevision != object.Kvs[0].ModRevision {
		t.Errorf("the claim was not written with the object: %v", claim.Kvs)
	}
}

func notChecked(context.Context, *testing.T, string) {}

func (s *stack) increaseRevision(ctx context.Context, t *testing.T) int64 {
	response, err := s.client.Put(ctx, "increaseRV", "ok")
	if err != nil {
		t.Fatal(err)
	}
	return response.Header.Revision
}

func (s *stack) compact(ctx context.Context, t *testing.T, resourceVersion string) {
	revision, err := storage.APIObjectVersioner{}.ParseResourceVersion(resourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	version, _, _, err := etcd3.Compact(ctx, s.client, 0, int64(revision))
	if err != nil {
		_, _, _, err = etcd3.Compact(ctx, s.client, version, int64(revision))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, wait.ForeverTestTimeout, true, func(context.Context) (bool, error) {
		// Without snapshots the cache does not watch for compactions.
		return !utilfeature.DefaultFeatureGate.Enabled(features.ListFromCacheSnapshot) || s.CompactRevision() == int64(revision), nil
	}); err != nil {
		t.Fatal(err)
	}
}

// calls checks that a paginated list reads no more than necessary. Pages grow up to
// maxPage.
func (s *stack) calls(t *testing.T, pageSize, objects uint64) {
	const maxPage = 10000
	if got := s.transformer.get().(*suite.PrefixTransformer).GetReadsAndReset(); got != objects {
		t.Errorf("%d objects were read, want %d", got, objects)
	}
	want := uint64(1)
	if pageSize != 0 {
		for sum, page := uint64(1), pageSize; sum < objects; want++ {
			page = min(2*page, maxPage)
			sum += page
		}
	}
	if got := s.reads.GetReadsAndReset() + s.reads.GetStreamReadsAndReset(); got != want {
		t.Fatalf("%d requests, want %d", got, want)
	}
}

func (s *stack) callsAnything(*testing.T, uint64, uint64) {}

// seenByCache makes creates return when the cache has the object.
type seenByCache struct{ storage.Interface }

func (s seenByCache) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	if err := s.Interface.Create(ctx, key, obj, out, ttl); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, wait.ForeverTestTimeout, true, func(ctx context.Context) (bool, error) {
		current := newPod()
		err := s.Get(ctx, key, storage.GetOptions{ResourceVersion: "0"}, current)
		if storage.IsNotFound(err) {
			return false, nil
		}
		return apiequality.Semantic.DeepEqual(current, out), err
	})
}
