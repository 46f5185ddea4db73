package endpoint

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// cacheAt is a cache at a resource version.
type cacheAt struct{ version string }

func (c *cacheAt) LastStoreSyncResourceVersion() string { return c.version }

func TestWritten(t *testing.T) {
	store := &cacheAt{version: "7"}
	w := newWritten(store)
	at := func(version string) *corev1.Endpoints {
		return &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", ResourceVersion: version}}
	}
	if !w.observed("shop/web") || w.includes(at("7")) {
		t.Error("Endpoints without a write must count as foreign and observed")
	}
	w.record(at("10"))
	if w.observed("shop/web") || !w.observed("shop/other") {
		t.Error("the cache must lag behind shop/web only")
	}
	if !w.includes(at("10")) || !w.includes(at("9")) || w.includes(at("11")) {
		t.Error("only versions after 10 are foreign")
	}
	store.version = "10"
	if !w.observed("shop/web") || !w.includes(at("10")) {
		t.Error("the cache must be current")
	}
	// The resource version of a store restored from a backup is lower.
	store.version = "3"
	if w.observed("shop/web") {
		t.Error("the cache must lag again")
	}
	w.maxLag = time.Nanosecond
	if !w.observed("shop/web") || w.includes(at("10")) {
		t.Error("the wait for a lagging cache must end")
	}
	w.record(at("4"))
	w.forget("shop/web")
	if !w.observed("shop/web") || len(w.writes) != 0 {
		t.Error("forget left a record")
	}
}
