// Package v1 holds the types of the API group portolan.dev/v1: Services, their
// Endpoints and EndpointSlices, and the ranges and claims that addresses and node
// ports come from.
//
// Each kind has one Go type. It is registered both as v1 and as the group's
// internal version, so a request is decoded straight into the type that the
// registry works on and nothing is converted on the way. When a v2 comes, v1
// stays the hub that it is converted from and to.
//
// Service and Endpoints carry the field types of k8s.io/api/core/v1,
// EndpointSlice those of k8s.io/api/discovery/v1, so that every field, its JSON
// name and its meaning are upstream's by construction.
//
// The package imports no server and no client.
//
// +k8s:deepcopy-gen=package,register
// +k8s:defaulter-gen=TypeMeta
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=dev.portolan.v1
// +k8s:protobuf-gen=package
// +groupName=portolan.dev
package v1
