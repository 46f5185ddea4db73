package graph

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// world is a graph with the keys that it wants to be looked at. The kinds are Map and, outside
// namespaces, Role; Ship is served if ships is set.
type world struct {
	*Graph
	looked []string
	ships  bool
}

func newWorld() *world {
	w := &world{}
	w.Graph = New(func(r metav1.OwnerReference) (string, bool, bool) {
		return strings.ToLower(r.Kind) + "s", r.Kind != "Role", r.Kind != "Ship" || w.ships
	}, func(key string) { w.looked = append(w.looked, key) })
	for _, resource := range []string{"maps", "roles"} {
		w.Replace(resource, nil)
	}
	return w
}

// take returns the keys since the last call, sorted, each one once.
func (w *world) take() string {
	slices.Sort(w.looked)
	keys := strings.Join(slices.Compact(w.looked), " ")
	w.looked = nil
	return keys
}

func (w *world) waits(name string) bool {
	_, waits := w.Waits("maps/a/" + name)
	return waits
}

// newMap returns a Map with owners: "UID" of Map x with the UID x, "!UID" if it blocks.
func newMap(name string, owners ...string) *metav1.ObjectMeta {
	meta := &metav1.ObjectMeta{Namespace: "a", Name: name, UID: types.UID(name)}
	for _, owner := range owners {
		kind, uid := "Map", strings.TrimPrefix(owner, "!")
		if k, u, ok := strings.Cut(uid, ":"); ok {
			kind, uid = k, u
		}
		meta.OwnerReferences = append(meta.OwnerReferences, metav1.OwnerReference{
			Kind: kind, Name: uid, UID: types.UID(uid), BlockOwnerDeletion: ptr.To(strings.HasPrefix(owner, "!")),
		})
	}
	return meta
}

func deleted(meta *metav1.ObjectMeta, finalizer string) *metav1.ObjectMeta {
	meta.DeletionTimestamp, meta.Finalizers = ptr.To(metav1.Now()), []string{finalizer}
	return meta
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestOwners(t *testing.T) {
	w := newWorld()
	w.Put("maps", newMap("o"))
	expect(t, "an object without owners", w.take(), "")
	w.Put("maps", newMap("d", "o"))
	expect(t, "a dependent", w.take(), "maps/a/d")
	expect(t, "it is settled", w.Settled("maps/a/d"), true)
	w.Put("maps", newMap("d", "o"))
	expect(t, "the same again", w.take(), "")
	w.Put("maps", newMap("d", "o", "p"))
	expect(t, "another owner", w.take(), "maps/a/d")
	expect(t, "an unknown owner", w.Settled("maps/a/d"), false)
	w.Put("maps", newMap("p"))
	expect(t, "both are known", w.Settled("maps/a/d"), true)
	w.Delete("maps", newMap("o"))
	expect(t, "an owner is deleted", w.take(), "maps/a/d")
	expect(t, "it is gone", w.Gone("o"), true)
	expect(t, "the other is not", w.Gone("p"), false)
	w.Put("maps", newMap("d"))
	w.Delete("maps", newMap("p"))
	expect(t, "an owner without dependents", w.take()+" "+strings.Join(w.Dependents("p", false), " "), " ")
}

func TestDeletionThatWaits(t *testing.T) {
	w := newWorld()
	w.Put("maps", newMap("o", "!o"))
	w.Put("maps", newMap("blocks", "!o"))
	w.Put("maps", newMap("loose", "o"))
	w.take()
	w.Put("maps", deleted(newMap("o", "!o"), metav1.FinalizerDeleteDependents))
	expect(t, "the owner waits", w.take(), "maps/a/o")
	expect(t, "for its dependents", w.waits("o"), true)
	expect(t, "that block it", strings.Join(w.Dependents("o", true), " "), "maps/a/blocks")
	expect(t, "of all", len(w.Dependents("o", false)), 2)
	expect(t, "which have to be looked at", w.Settled("maps/a/loose"), false)
	since, _ := w.Waits("maps/a/o")
	w.Put("maps", deleted(newMap("o"), metav1.FinalizerDeleteDependents))
	if again, _ := w.Waits("maps/a/o"); !again.Equal(since) {
		t.Errorf("it waits since %v, want %v", again, since)
	}
	w.take()
	w.Put("maps", newMap("blocks", "o"))
	expect(t, "it does not orphan", w.Orphans("o"), false)
	expect(t, "one blocks no longer", w.take(), "maps/a/blocks maps/a/o")
	w.Delete("maps", newMap("loose", "o"))
	expect(t, "one is deleted", w.take(), "maps/a/o")
	w.Put("maps", deleted(newMap("blocks", "o"), metav1.FinalizerDeleteDependents))
	expect(t, "a dependent waits", w.HasWaitingDependents("o"), true)
	w.Delete("maps", newMap("o"))
	expect(t, "nobody waits", w.waits("o"), false)

	w.Put("maps", deleted(newMap("other"), "example.com/other"))
	expect(t, "another finalizer", w.waits("other"), false)
	w.Put("maps", deleted(newMap("orphans"), metav1.FinalizerOrphanDependents))
	expect(t, "an owner that orphans", w.waits("orphans") && w.Orphans("orphans"), true)
}

func TestReplace(t *testing.T) {
	w := newWorld()
	w.Put("maps", newMap("o"))
	w.Put("roles", &metav1.ObjectMeta{Name: "r", UID: "r"})
	w.Put("maps", newMap("d", "o"))
	w.Put("maps", newMap("e", "Role:r"))
	w.take()
	w.Replace("maps", []metav1.Object{newMap("d", "o"), newMap("e", "Role:r")})
	expect(t, "an owner was deleted unseen", w.take(), "maps/a/d")
	w.Replace("roles", nil)
	expect(t, "an owner outside namespaces, too", w.take(), "maps/a/e")
	w.Replace("maps", nil)
	expect(t, "nothing is left", len(w.nodes)+len(w.dependents), 0)

	// An object was deleted and made again unseen.
	w.Put("maps", newMap("d", "o"))
	again := newMap("d", "p")
	again.UID = "again"
	w.Replace("maps", []metav1.Object{again})
	expect(t, "the former owner has no dependents", len(w.Dependents("o", false)), 0)
	w.Delete("maps", newMap("d", "o"))
	expect(t, "a late event of the former object", len(w.Dependents("p", false)), 1)
}

func TestKindsComeAndGo(t *testing.T) {
	w := newWorld()
	w.Put("maps", newMap("d", "Ship:s"))
	expect(t, "a kind that is not served", w.Settled("maps/a/d"), false)
	expect(t, "still has dependents", strings.Join(w.Dependents("s", false), " "), "maps/a/d")
	w.take()
	w.Resolve()
	expect(t, "still not", w.take(), "")
	w.ships = true
	w.Resolve()
	expect(t, "now it is", w.take(), "maps/a/d")
	w.Replace("ships", []metav1.Object{newMap("s")})
	expect(t, "the owner exists", w.Settled("maps/a/d"), true)
	w.Put("ships", newMap("owned", "Map:none"))
	w.Forget("ships")
	expect(t, "what is not known does not exist", w.Settled("maps/a/d"), false)
	expect(t, "nor is it gone", w.Gone("s"), false)
	expect(t, "and does not depend on others", len(w.Dependents("none", false)), 0)
	expect(t, "until it is followed again", w.Follows("ships"), false)
}

func TestPlaces(t *testing.T) {
	w := newWorld()
	w.Put("maps", newMap("o"))
	elsewhere := newMap("d", "o")
	elsewhere.Namespace = "b"
	w.Put("maps", elsewhere)
	expect(t, "an owner in another namespace", w.Settled("maps/b/d"), false)
	expect(t, "exists elsewhere", w.Elsewhere("o", "b"), true)
	expect(t, "but not here", w.Elsewhere("o", "a"), false)
	wrong := newMap("e", "o")
	wrong.OwnerReferences[0].Name = "other"
	w.Put("maps", wrong)
	expect(t, "an owner of another name", w.Settled("maps/a/e"), false)
	resource, namespace, name := ParseKey(Key("roles.rbac", "", "system:x"))
	expect(t, "a key outside namespaces", resource+"|"+namespace+"|"+name, "roles.rbac||system:x")
}
