package endpoint

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
)

// written records the last write of each Endpoints object by this process. With it the
// controller waits for its cache, instead of updating an old version and getting a
// conflict, and tells its own writes from those of others.
type written struct {
	store store
	// maxLag is the longest time to wait for the cache. If the store was restored from
	// a backup, the cache can stay below the version that was written.
	maxLag time.Duration

	mu     sync.Mutex
	writes map[string]write
}

// store is the part of a cache that reports its resource version.
type store interface {
	LastStoreSyncResourceVersion() string
}

type write struct {
	version string
	at      time.Time
}

func newWritten(store store) *written {
	return &written{store: store, maxLag: 30 * time.Second, writes: map[string]write{}}
}

// record records a write and its result.
func (w *written) record(stored *corev1.Endpoints) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes[cache.MetaObjectToName(stored).String()] = write{stored.ResourceVersion, time.Now()}
}

// includes reports whether e is the version that this process wrote last, or older.
func (w *written) includes(e *corev1.Endpoints) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, found := w.writes[cache.MetaObjectToName(e).String()]
	if !found {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(e.ResourceVersion, last.version)
	return err == nil && order <= 0
}

// observed reports whether the cache has reached the last write of a key. After maxLag
// it gives up waiting and returns true.
func (w *written) observed(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, found := w.writes[key]
	if !found {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(w.store.LastStoreSyncResourceVersion(), last.version)
	if err != nil || order >= 0 {
		return true
	}
	if time.Since(last.at) < w.maxLag {
		return false
	}
	delete(w.writes, key)
	return true
}

// forget drops the record of Endpoints whose Service is gone.
func (w *written) forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.writes, key)
}
