package endpoint

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
)

// written says whether the cache has seen what was written. Without it a second
// change that follows at once would be worked out from Endpoints that are no
// longer stored, and refused.
type written struct {
	store cache.Store

	mu       sync.Mutex
	versions map[string]string
}

func newWritten(store cache.Store) *written {
	return &written{store: store, versions: map[string]string{}}
}

// note remembers at which version Endpoints were written.
func (w *written) note(stored *corev1.Endpoints) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versions[cache.MetaObjectToName(stored).String()] = stored.ResourceVersion
}

// seen says whether the cache is at the version that was written last, or later.
func (w *written) seen(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	version, there := w.versions[key]
	if !there {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(w.store.LastStoreSyncResourceVersion(), version)
	if err == nil && order < 0 {
		return false
	}
	delete(w.versions, key)
	return true
}
