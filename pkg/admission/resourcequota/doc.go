// Package resourcequota is the admission plugin ResourceQuota. It keeps the objects of
// portolan.dev within the ResourceQuotas of a cluster.
//
// It is the framework's plugin (k8s.io/apiserver). A create takes one from
// count/<resource>.portolan.dev, such as count/services.portolan.dev, in every quota of
// the namespace that limits it. It is rejected with a 403 if none is left. A create in a
// core API group is charged as one in portolan.dev. A delete gives nothing back until the
// cluster's quota controller counts again. That controller finds the resources to count
// in the cluster's discovery. Until it has found portolan.dev, a quota that limits one of
// its resources has no usage, and creates are rejected because their "status [is]
// unknown".
//
// The plugin adds two things. A create by PUT or apply can take several attempts at its
// transaction, each of which passes admission, but the request is charged once (see
// requeststate.Picks). And a create is not charged if there is no address or port for it, or
// if it names one that is taken, since the storage will reject it; upstream allocates
// before it charges. As with upstream, a create that fails later, for example because its
// name exists, stays charged until the controller counts again.
//
// It does not charge services, services.nodeports, services.loadbalancers and
// count/services. The controller sets those to its count of the cluster's own Services,
// so it would undo a charge within minutes, and until then the charge would be at the
// expense of those Services. Nor does it count node ports and load balancers under names
// of portolan.dev: the controller counts objects only, and a figure that it does not
// count again never decreases.
//
// The server's user in the cluster needs the verbs list and watch for
// resourcequotas and update for resourcequotas/status, in all namespaces.
package resourcequota
