// Package v1 has the types of the API group portolan.dev/v1: Services, their Endpoints
// and EndpointSlices, the ranges and claims of cluster IPs, node ports and load-balancer
// addresses, and the quotas of claims.
//
// Each kind has one Go type. It is registered as v1 and as the group's internal version,
// so a request is decoded into the type that the registry uses, without a conversion. If
// a v2 is added, v1 remains the hub of the conversions.
//
// Service and Endpoints use the field types of k8s.io/api/core/v1, and EndpointSlice
// those of k8s.io/api/discovery/v1. Every field, its JSON name and its meaning are
// therefore upstream's by construction.
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
