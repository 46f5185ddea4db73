// Package core has the kinds of the core API groups: those that core v1,
// discovery.k8s.io/v1 and networking.k8s.io/v1 share with portolan.dev/v1, and those that
// their clients need as well and portolan.dev/v1 does not have: Namespaces, Nodes, Pods,
// Secrets, Events, Leases, Ingresses and IngressClasses.
//
// The latter are upstream's own types, as v1 and as the internal version. Events have
// the types of core v1 in events.k8s.io too.
//
// The former are stored and handled as the types of package portolan/v1 in every API
// group, so that an object that is written in one is read in the other. Here these types
// are the internal version of upstream's groups, and upstream's own types, those of
// k8s.io/api, are the v1. The two differ little:
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
