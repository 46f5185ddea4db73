// Package garbagecollector does what owner references ask for, as kube-controller-manager
// does in a cluster (upstream's pkg/controller/garbagecollector):
//
//   - It deletes an object once none of its owners exists.
//   - It deletes the dependents of an owner that is deleted in the foreground, and then lets
//     the owner go.
//   - It removes the references to an owner that is deleted with the policy Orphan, and then
//     lets the owner go.
//   - It removes references to owners that do not exist, if another owner does.
//
// It watches the metadata of all objects:
//
//	kinds of the server ────────┐
//	CustomResourceDefinitions ──┴─→ follower ─→ graph ─→ queue ─→ sync ─→ requests
//
// The objects of the server's own kinds come from its stores, without a request: encoding
// and decoding each change once more took a sixth of the CPU of creating a Service. The
// others are watched with a client.
//
// The graph says what may have to be done. Before anything is done, sync reads the object
// and its owners from the server. That an owner does not exist counts only if a quorum of
// etcd says so, or if its kind is not served any more and a watch has reported its deletion.
// A delete or a patch carries the UID and the resource version that were read.
//
// An owner that is deleted with the policy Orphan counts as one that exists until the
// references to it are removed. An object that refers to a kind that is not served, or from
// outside a namespace into one, is left alone. Events are neither deleted nor followed.
//
// Each term of the leader builds the graph anew.
package garbagecollector
