package v1

const (
	// LabelWrittenBack is the label of Services and EndpointSlices in a cluster that are
	// copies of Portolan's, because kube-apiserver finds webhooks and aggregated APIs by
	// the Services that it stores. Its value is WrittenBack. What copies a cluster's
	// Services into Portolan skips them.
	LabelWrittenBack = "portolan.dev/written-back"
	// WrittenBack is the value of LabelWrittenBack.
	WrittenBack = "true"
	// LabelEnforcedBy is the label of bindings of a cluster's admission policies that do not
	// apply to requests which Portolan serves. Its value is EnforcedByCluster.
	LabelEnforcedBy = "portolan.dev/enforced-by"
	// EnforcedByCluster is the value of LabelEnforcedBy.
	EnforcedByCluster = "kube-apiserver"
)
