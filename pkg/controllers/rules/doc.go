// Package rules holds the rules by which the addresses of Pods become
// Endpoints, and Endpoints written by hand become EndpointSlices.
//
// Every rule is pure: it looks at a Service, its Pods and what is stored, and
// returns what should be stored. The rules are those of upstream's endpoint
// controller, of its endpointslicemirroring controller and of RepackSubsets
// (k8s.io/kubernetes, pkg/controller/endpoint, pkg/controller/endpointslicemirroring
// and pkg/api/v1/endpoints), except where a comment says that upstream has it
// differently. One difference is everywhere: upstream orders ports and subsets
// by a hash of how Go prints them, which changes from one release to the next
// and makes every Endpoints object be written again (kubernetes #129652). Here
// the order follows from the values, so that equal sets are equal objects.
//
// # What is left out
//
// The way from Pods to EndpointSlices: that is k8s.io/endpointslice. Reading and
// writing: that is pkg/controllers.
package rules
