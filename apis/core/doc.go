// Package core registers the kinds of the core API groups. They are of two sorts.
//
// Some kinds exist only in the core API groups: Namespaces, Nodes, Pods, Secrets,
// ConfigMaps, ServiceAccounts, Events, Leases, Ingresses and IngressClasses. Their v1 and
// internal version are upstream's own types. In events.k8s.io, the internal version of
// Events is the type of core v1.
//
// The other kinds are shared: core v1, discovery.k8s.io/v1 and networking.k8s.io/v1
// serve them, and so does portolan.dev/v1. They are stored and processed as the types of
// package portolan/v1 in every API group, so that an object written in one group can be
// read in another. In upstream's groups these types are the internal version, and
// upstream's types of k8s.io/api are the v1. The two differ little:
//
//   - Service, Endpoints and EndpointSlice have exactly upstream's fields. A
//     conversion is a Go type conversion.
//   - The status of a ServiceCIDR loses the usage, which no client writes.
//   - The holder of an IPAddress loses its UID, and has upstream's name: a Service is
//     of the resource services without a group.
//
// Upstream's types get the defaults of portolan/v1 when they are decoded.
//
// The package imports no server and no client.
package core
