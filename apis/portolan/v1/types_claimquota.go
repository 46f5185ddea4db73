package v1

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What a ClaimQuota can limit. All of these count what the Services of its namespace hold,
// whether the server picked it or the Service named it.
const (
	// ClusterIPv4Quota limits cluster IPs of IPv4.
	ClusterIPv4Quota = "clusterips.ipv4"
	// ClusterIPv6Quota limits cluster IPs of IPv6.
	ClusterIPv6Quota = "clusterips.ipv6"
	// NodePortQuota limits node ports. Health check node ports count as well.
	NodePortQuota = "nodeports"
	// LoadBalancerIPQuota limits load-balancer addresses of both families. An address that
	// several Services of the namespace share counts once.
	LoadBalancerIPQuota = "loadbalancerips"
)

// QuotaResources returns what a ClaimQuota can limit, in alphabetical order.
func QuotaResources() []string {
	return []string{ClusterIPv4Quota, ClusterIPv6Quota, LoadBalancerIPQuota, NodePortQuota}
}

// SplitQuotaKey splits a key of a ClaimQuota's hard limits, such as "nodeports" or
// "nodeports/public", into what it limits and the range. The range is empty for a total.
func SplitQuotaKey(key string) (resource, rangeName string, ranged bool) {
	return strings.Cut(key, "/")
}

// +genclient
// +genclient:noStatus
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClaimQuota limits the cluster IPs, node ports and load-balancer addresses that the Services
// of its namespace hold together. The transaction that writes a Service enforces it. A Service
// that would exceed it is rejected; nothing is taken away from a namespace that holds more
// than a quota allows.
type ClaimQuota struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec has the limits.
	// +optional
	Spec ClaimQuotaSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// status has what is held.
	// +optional
	Status ClaimQuotaStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// ClaimQuotaSpec has the limits of a ClaimQuota.
type ClaimQuotaSpec struct {
	// hard has the most that the Services of the namespace may hold of each kind of values:
	// clusterips.ipv4, clusterips.ipv6, nodeports (health check node ports included) and
	// loadbalancerips. A key with the name of a ServiceCIDR, NodePortRange or
	// LoadBalancerPool, for example "nodeports/public", limits what they hold of that range.
	// What has no key is not limited.
	Hard map[string]int64 `json:"hard" protobuf:"bytes,1,rep,name=hard"`
}

// ClaimQuotaStatus has what the Services of the namespace hold. The server computes it for
// every read, and stores nothing of it.
type ClaimQuotaStatus struct {
	// used has what the Services of the namespace hold, under the keys of spec.hard. It is
	// more than the limit if the quota was made, or lowered, when they held more.
	// +optional
	Used map[string]int64 `json:"used,omitempty" protobuf:"bytes,1,rep,name=used"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClaimQuotaList is a list of ClaimQuotas.
type ClaimQuotaList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the ClaimQuotas.
	Items []ClaimQuota `json:"items" protobuf:"bytes,2,rep,name=items"`
}
