// Package graph remembers which objects own which, as far as owner references say, and
// notices when that may leave an object to be deleted or an owner to be finished. It does
// no I/O: its caller reads the objects again before it acts.
//
//	watched objects ─→ Put, Delete, Replace ─→ the graph ─→ keys of objects to look at
//
// Most objects own nothing and are owned by nothing. Of these the graph keeps two numbers,
// about 30 bytes in memory. Of an object with owner references, or one whose deletion waits
// for its dependents, it keeps a node.
package graph

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/lru"
)

// maxGone is how many deleted owners are remembered.
const maxGone = 500

// Resolver returns the resource that an owner reference means, in the words of Put. Several
// API versions and groups can have names for one resource. It returns false for a kind that
// is not served.
type Resolver func(reference metav1.OwnerReference) (resource string, namespaced, served bool)

// Graph has the owner references of all objects. It is safe for concurrent use.
type Graph struct {
	resolve Resolver
	look    func(key string)
	seed    maphash.Seed

	mu        sync.Mutex
	resources map[string]*resource
	// nodes are those of the objects that matter, by key.
	nodes map[string]*node
	// dependents are the nodes that refer to an owner. Owner, here and below, is the hash of
	// a UID.
	dependents map[uint64]map[*node]struct{}
	// waiting are the owners whose deletion waits for their dependents.
	waiting map[uint64]*node
	// unresolved are the nodes that refer to kinds that are not served.
	unresolved map[*node]struct{}
	// gone are owners that the graph saw being deleted while they had dependents.
	gone *lru.Cache
}

// resource has the existing objects of a resource.
type resource struct {
	// followed is true once all objects are known.
	followed bool
	places   map[uint64]place
}

// place is where an object is: hashes of its namespace and its name. Together with the UID
// and the resource, an owner reference names the object by it.
type place struct {
	namespace, name uint32
}

// New returns an empty graph. It calls look with the key of each object that has to be
// looked at. Look must not call the graph.
func New(resolve Resolver, look func(key string)) *Graph {
	return &Graph{
		resolve: resolve, look: look, seed: maphash.MakeSeed(),
		resources: map[string]*resource{}, nodes: map[string]*node{}, dependents: map[uint64]map[*node]struct{}{},
		waiting: map[uint64]*node{}, unresolved: map[*node]struct{}{}, gone: lru.New(maxGone),
	}
}

// Key returns the key of an object.
func Key(resource, namespace, name string) string { return resource + "/" + namespace + "/" + name }

// ParseKey returns what Key was called with.
func ParseKey(key string) (resource, namespace, name string) {
	resource, rest, _ := strings.Cut(key, "/")
	namespace, name, _ = strings.Cut(rest, "/")
	return resource, namespace, name
}

func (g *Graph) hash(text string) uint64 { return maphash.String(g.seed, text) }

func (g *Graph) place(namespace, name string) place {
	return place{uint32(g.hash(namespace)), uint32(g.hash(name))}
}

func (g *Graph) resource(name string) *resource {
	if g.resources[name] == nil {
		g.resources[name] = &resource{places: map[uint64]place{}}
	}
	return g.resources[name]
}

// Put adds or updates an object.
func (g *Graph) Put(resource string, obj metav1.Object) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.put(g.resource(resource), resource, obj)
}

func (g *Graph) put(of *resource, resource string, obj metav1.Object) {
	uid := g.hash(string(obj.GetUID()))
	of.places[uid] = g.place(obj.GetNamespace(), obj.GetName())
	key := Key(resource, obj.GetNamespace(), obj.GetName())
	before, after := g.nodes[key], g.newNode(key, uid, obj)
	if before.equal(after) {
		return
	}
	if before != nil && after != nil && before.uid == uid && before.state == after.state {
		after.since = before.since
	}
	g.exchange(before, after)
	if after != nil {
		g.look(key)
	}
}

// Delete removes an object.
func (g *Graph) Delete(resource string, obj metav1.Object) {
	g.mu.Lock()
	defer g.mu.Unlock()
	uid := g.hash(string(obj.GetUID()))
	delete(g.resource(resource).places, uid)
	key := Key(resource, obj.GetNamespace(), obj.GetName())
	if before := g.nodes[key]; before != nil && before.uid == uid {
		g.exchange(before, nil)
	}
	if len(g.dependents[uid]) > 0 {
		g.gone.Add(uid, nil)
	}
	for dependent := range g.dependents[uid] {
		g.look(dependent.key)
	}
}

// Replace makes the objects of a resource those of a list.
func (g *Graph) Replace(resource string, objects []metav1.Object) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := g.resource(resource)
	of.followed, of.places = true, make(map[uint64]place, len(objects))
	for _, obj := range objects {
		g.put(of, resource, obj)
	}
	prefix := resource + "/"
	for _, node := range g.nodes {
		_, exists := of.places[node.uid]
		switch {
		case strings.HasPrefix(node.key, prefix) && !exists:
			g.exchange(node, nil)
		case slices.ContainsFunc(node.owners, func(r reference) bool { return r.of == of && !r.exists() }):
			g.look(node.key)
		}
	}
}

// Forget removes the objects of a resource that is not served any more. They are not taken
// as deleted.
func (g *Graph) Forget(resource string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := g.resource(resource)
	of.followed, of.places = false, map[uint64]place{}
	for _, node := range g.nodes {
		if strings.HasPrefix(node.key, resource+"/") {
			g.exchange(node, nil)
		}
	}
}

// Resolve looks again at the references to kinds that were not served.
func (g *Graph) Resolve() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for node := range g.unresolved {
		again := *node
		again.owners, again.unresolved = g.references(node.namespace(), node.unresolved)
		for _, r := range node.owners {
			if r.of != nil {
				again.owners = append(again.owners, r)
			}
		}
		if len(again.unresolved) < len(node.unresolved) {
			g.exchange(node, &again)
			g.look(again.key)
		}
	}
}

// exchange replaces a node; either can be nil. It looks at the owners whose deletion waits
// for the former.
func (g *Graph) exchange(before, after *node) {
	if before != nil {
		for _, r := range before.owners {
			delete(g.dependents[r.owner], before)
			if len(g.dependents[r.owner]) == 0 {
				delete(g.dependents, r.owner)
			}
			if owner := g.waiting[r.owner]; owner != nil {
				g.look(owner.key)
			}
		}
		delete(g.nodes, before.key)
		delete(g.waiting, before.uid)
		delete(g.unresolved, before)
	}
	if after == nil {
		return
	}
	for _, r := range after.owners {
		if g.dependents[r.owner] == nil {
			g.dependents[r.owner] = map[*node]struct{}{}
		}
		g.dependents[r.owner][after] = struct{}{}
	}
	g.nodes[after.key] = after
	if after.waits() {
		g.waiting[after.uid] = after
	}
	if len(after.unresolved) > 0 {
		g.unresolved[after] = struct{}{}
	}
}

// Settled reports whether nothing has to be done about the owners of an object: as far as
// the graph knows, all of them exist, and none is waiting for its dependents.
func (g *Graph) Settled(key string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	node := g.nodes[key]
	return node == nil || !slices.ContainsFunc(node.owners, func(r reference) bool { return !r.exists() || g.waiting[r.owner] != nil })
}

// Waits reports whether the deletion of an object waits for its dependents, and since when the
// graph knows.
func (g *Graph) Waits(key string) (since time.Time, waits bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	node := g.nodes[key]
	if node == nil || !node.waits() {
		return time.Time{}, false
	}
	return node.since, true
}

// Dependents returns the keys of the objects that refer to an owner, except itself. With
// blocking they are those that block its deletion in the foreground.
func (g *Graph) Dependents(uid types.UID, blocking bool) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	owner := g.hash(string(uid))
	var keys []string
	for dependent := range g.dependents[owner] {
		if dependent.uid != owner && (!blocking || dependent.blocks(owner)) {
			keys = append(keys, dependent.key)
		}
	}
	return keys
}

// HasWaitingDependents reports whether the deletion in the foreground of an object that
// refers to an owner waits too.
func (g *Graph) HasWaitingDependents(uid types.UID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for dependent := range g.dependents[g.hash(string(uid))] {
		if dependent.state == foreground {
			return true
		}
	}
	return false
}

// Orphans reports whether the deletion of an owner waits until its dependents have forgotten it.
func (g *Graph) Orphans(uid types.UID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	owner := g.waiting[g.hash(string(uid))]
	return owner != nil && owner.state == orphan
}

// Follows reports whether the graph knows all objects of a resource.
func (g *Graph) Follows(resource string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.resource(resource).followed
}

// Gone reports whether the graph saw an owner being deleted.
func (g *Graph) Gone(uid types.UID) bool {
	_, known := g.gone.Get(g.hash(string(uid)))
	return known
}

// Elsewhere reports whether an object with a UID exists in another namespace.
func (g *Graph) Elsewhere(uid types.UID, namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	owner, none, here := g.hash(string(uid)), g.place("", "").namespace, g.place(namespace, "").namespace
	for _, of := range g.resources {
		if found, exists := of.places[owner]; exists {
			return found.namespace != none && found.namespace != here
		}
	}
	return false
}
