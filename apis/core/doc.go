// Package core has the kinds of the second door: what upstream serves as core
// v1, discovery.k8s.io/v1 and networking.k8s.io/v1, and portolan.dev/v1 as well;
// and what clients of these need beside them, which portolan.dev/v1 has none of:
// Namespaces, Nodes, Pods, Secrets, Events, Leases, Ingresses and IngressClasses.
//
// The latter are upstream's own types, both as v1 and as the internal version.
// Events are those of core v1 in events.k8s.io, too.
//
// Of the former, what is stored and worked on are the types of package
// portolan/v1 at either door, so that an object written through one is read through the other. Here
// they are the internal version of upstream's groups, and upstream's own types,
// those of k8s.io/api, are the v1. The two differ little:
//
//   - Service, Endpoints and EndpointSlice have upstream's fields and nothing
//     else. They are converted by taking the one type for the other.
//   - The status of a ServiceCIDR loses the figures, which no client writes.
//   - The holder of an IPAddress loses its UID, and is named as upstream names
//     it: a Service's is of the resource services without a group.
//
// Their defaults are those of portolan/v1, applied wherever upstream's types are
// decoded.
//
// The package imports no server and no client.
package core
