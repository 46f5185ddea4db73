package graph

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// node is an object with owners, or one whose deletion waits for its dependents. It does
// not change once it is in the graph.
type node struct {
	key    string
	uid    uint64
	owners []reference
	// unresolved are those of the references whose kinds are not served.
	unresolved []metav1.OwnerReference
	state      state
	// since is when the graph learned of the state.
	since time.Time
}

// reference is an owner reference.
type reference struct {
	// of is nil if the kind is not served.
	of    *resource
	owner uint64
	place place
	// blocks is true if the owner's deletion in the foreground waits for the dependent.
	blocks bool
}

// state is what the deletion of an object waits for.
type state int

const (
	// neither is an object that exists, or whose deletion waits for others than the
	// collector.
	neither state = iota
	// foreground is an object that is deleted after its dependents.
	foreground
	// orphan is an object that is deleted after its dependents have forgotten it.
	orphan
)

// stateOf returns what the deletion of an object waits for.
func stateOf(obj metav1.Object) state {
	switch finalizers := obj.GetFinalizers(); {
	case obj.GetDeletionTimestamp() == nil:
		return neither
	case slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
		return orphan
	case slices.Contains(finalizers, metav1.FinalizerDeleteDependents):
		return foreground
	}
	return neither
}

// newNode returns the node of an object, or nil if the object needs none.
func (g *Graph) newNode(key string, uid uint64, obj metav1.Object) *node {
	n := &node{key: key, uid: uid, state: stateOf(obj), since: time.Now()}
	n.owners, n.unresolved = g.references(obj.GetNamespace(), obj.GetOwnerReferences())
	if len(n.owners) == 0 && n.state == neither {
		return nil
	}
	return n
}

// references resolves owner references from a namespace.
func (g *Graph) references(namespace string, all []metav1.OwnerReference) (owners []reference, unresolved []metav1.OwnerReference) {
	for _, r := range all {
		name, namespaced, served := g.resolve(r)
		owner := reference{owner: g.hash(string(r.UID)), blocks: Blocks(r)}
		switch {
		case !served:
			unresolved = append(unresolved, r)
		case namespaced:
			owner.of, owner.place = g.resource(name), g.place(namespace, r.Name)
		default:
			owner.of, owner.place = g.resource(name), g.place(metav1.NamespaceNone, r.Name)
		}
		owners = append(owners, owner)
	}
	return owners, unresolved
}

// Blocks reports whether the deletion of an owner in the foreground waits for the dependent.
func Blocks(reference metav1.OwnerReference) bool {
	return ptr.Deref(reference.BlockOwnerDeletion, false)
}

// exists reports whether the owner exists where the reference says.
func (r reference) exists() bool {
	if r.of == nil {
		return false
	}
	found, exists := r.of.places[r.owner]
	return exists && found == r.place
}

func (n *node) namespace() string {
	_, namespace, _ := ParseKey(n.key)
	return namespace
}

func (n *node) waits() bool { return n.state != neither }

func (n *node) blocks(owner uint64) bool {
	return slices.ContainsFunc(n.owners, func(r reference) bool { return r.owner == owner && r.blocks })
}

// equal reports whether two nodes, either of which can be nil, say the same.
func (n *node) equal(other *node) bool {
	if n == nil || other == nil {
		return n == other
	}
	return n.uid == other.uid && n.state == other.state && slices.Equal(n.owners, other.owners) && len(n.unresolved) == len(other.unresolved)
}
