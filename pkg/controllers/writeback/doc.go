// Package writeback copies Services from Portolan to the cluster where kube-apiserver needs
// them: it finds admission webhooks, conversion webhooks and aggregated APIs by the Services
// that it stores itself.
//
//	cluster    webhook configurations, CustomResourceDefinitions,
//	           APIServices ─→ the Services that are referenced ─┐
//	Portolan   Services, EndpointSlices ────────────────────────┴─→ copies in the cluster
//
// A copy has the Service's ports and cluster IPs, no selector and no node ports, and the
// Service's EndpointSlices. So it works whether kube-apiserver connects to the cluster IP or,
// with --enable-aggregator-routing, to an endpoint. kube-apiserver rejects cluster IPs that
// lie outside its own ServiceCIDRs. The copy is then a Service of the type ExternalName whose
// name is the IPv4 address: kube-apiserver connects to it (ResolveCluster in
// k8s.io/apiserver/pkg/util/proxy), and verifies the certificate for the name of the Service
// all the same. It does not do so with --enable-aggregator-routing.
//
// Copies have the label [v1.LabelWrittenBack]. The controller changes and deletes nothing
// else. If the cluster has a Service of the name or another Service with the address, it
// reports a conflict and leaves both alone. A copy that nothing refers to is deleted, and its
// slices with it.
package writeback
