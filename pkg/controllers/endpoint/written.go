package endpoint

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
)

// written remembers what this process wrote last. A change that follows at once
// would otherwise be worked out from Endpoints that are no longer stored, and
// refused; and what others wrote couldn't be told from it.
type written struct {
	store store
	// patience is how long a cache may be behind. One of a store that was restored
	// from a backup may never come to the version that was written.
	patience time.Duration

	mu     sync.Mutex
	writes map[string]write
}

// store is the part of a cache that says how far it is.
type store interface {
	LastStoreSyncResourceVersion() string
}

// write is which version was written, and when.
type write struct {
	version string
	at      time.Time
}

func newWritten(store store) *written {
	return &written{store: store, patience: 30 * time.Second, writes: map[string]write{}}
}

// note remembers Endpoints that were written.
func (w *written) note(stored *corev1.Endpoints) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes[cache.MetaObjectToName(stored).String()] = write{stored.ResourceVersion, time.Now()}
}

// before says whether Endpoints are as they were written here last, or older.
func (w *written) before(e *corev1.Endpoints) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, there := w.writes[cache.MetaObjectToName(e).String()]
	if !there {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(e.ResourceVersion, last.version)
	return err == nil && order <= 0
}

// seen says whether the cache is at the version that was written last, or later.
func (w *written) seen(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, there := w.writes[key]
	if !there {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(w.store.LastStoreSyncResourceVersion(), last.version)
	if err != nil || order >= 0 {
		return true
	}
	if time.Since(last.at) < w.patience {
		return false
	}
	delete(w.writes, key)
	return true
}

// forget drops what is known of the Endpoints of a Service that is gone.
func (w *written) forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.writes, key)
}
