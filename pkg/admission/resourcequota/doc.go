// Package resourcequota holds the admission plugin ResourceQuota, which keeps
// this group's objects within the ResourceQuotas of a cluster.
//
// It is the framework's plugin (k8s.io/apiserver). A create takes one from
// count/<resource>.portolan.dev, such as count/services.portolan.dev, in every
// quota of the namespace that limits it, and is refused with a 403 where none
// is left. What is deleted comes back when the cluster's quota controller
// counts again. That controller finds the resources to count in the cluster's
// discovery: until it knows of this group, a quota that limits one of its
// resources has no usage for it, and creates are refused because their "status
// [is] unknown".
//
// Two things are added. A create by PUT or apply may take several attempts at
// its transaction, and each passes admission, but the request is charged once
// (WithCharges). And a create is not charged for which there is no address or
// port, or that names one which somebody else holds, since the storage is about
// to refuse it; upstream allocates before it charges. As with upstream, a create
// that fails later, for a name that exists say, stays charged until the
// controller counts again.
//
// What it leaves out: services, services.nodeports, services.loadbalancers and
// count/services. The controller sets those to what it finds among the cluster's
// own Services, so that a charge from here would be undone within minutes, and
// until then be taken from those Services. Nor are node ports and load balancers
// counted under names of this group: the controller counts objects only, and a
// name that nobody counts again never goes down.
//
// The server's user in the cluster needs the verbs list and watch for
// resourcequotas and update for resourcequotas/status, in all namespaces.
package resourcequota
