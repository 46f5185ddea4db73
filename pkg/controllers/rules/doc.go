// Package rules computes Endpoints from Pods, and the EndpointSlices that mirror
// handwritten Endpoints. Package k8s.io/endpointslice computes slices from Pods.
//
// Every function is pure: it takes a Service, its Pods and the stored objects, and
// returns the objects to store. The rules are upstream's: those of the endpoint
// controller, the endpointslicemirroring controller and RepackSubsets
// (k8s.io/kubernetes, pkg/controller/endpoint, pkg/controller/endpointslicemirroring
// and pkg/api/v1/endpoints). Comments name each difference. One concerns every
// object: upstream orders ports and subsets by a hash of how Go prints them. That
// hash changes between releases and causes a rewrite of every Endpoints object
// (kubernetes #129652). Here the values themselves define the order, so that equal
// sets give equal objects.
package rules
