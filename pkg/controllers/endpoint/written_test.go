package endpoint

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// cacheAt is a cache that has seen everything up to a version.
type cacheAt struct{ version string }

func (c *cacheAt) LastStoreSyncResourceVersion() string { return c.version }

func TestWritten(t *testing.T) {
	store := &cacheAt{version: "7"}
	w := newWritten(store)
	at := func(version string) *corev1.Endpoints {
		return &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", ResourceVersion: version}}
	}
	if !w.seen("shop/web") || w.before(at("7")) {
		t.Error("nothing was written")
	}
	w.note(at("10"))
	if w.seen("shop/web") || !w.seen("shop/other") {
		t.Error("the cache is behind for what was written, and only for that")
	}
	if !w.before(at("10")) || !w.before(at("9")) || w.before(at("11")) {
		t.Error("what somebody else has written is what is later than 10")
	}
	store.version = "10"
	if !w.seen("shop/web") || !w.before(at("10")) {
		t.Error("the cache has caught up")
	}
	// A store that was restored from a backup counts from an earlier version.
	store.version = "3"
	if w.seen("shop/web") {
		t.Error("the cache is behind again")
	}
	w.patience = time.Nanosecond
	if !w.seen("shop/web") || w.before(at("10")) {
		t.Error("a cache that stays behind isn't waited for without end")
	}
	w.note(at("4"))
	w.forget("shop/web")
	if !w.seen("shop/web") || len(w.writes) != 0 {
		t.Error("something is left of what was forgotten")
	}
}
