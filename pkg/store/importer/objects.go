package importer

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service"
)

// object is an object to write. The name is "namespace/name" if the resource is namespaced.
type object struct {
	resource, name string
	object         runtime.Object
}

// unit has objects that one transaction writes: a Service and its claims, or one other
// object.
type unit []object

// planObjects makes the units of a plan. The ranges come first, then the Services with the
// most claims: if etcd's limits are too low for one, the import fails at its beginning.
func (p *planner) planObjects() {
	for i := range p.cidrs {
		p.add("servicecidrs", &p.cidrs[i])
	}
	p.add("nodeportranges", p.newPortRange())
	if p.Standalone {
		p.addNamespaces()
	}
	var withClaims []unit
	for _, svc := range p.services {
		withClaims = append(withClaims, p.serviceUnit(svc))
	}
	slices.SortStableFunc(withClaims, func(a, b unit) int { return cmp.Compare(len(b), len(a)) })
	p.units = append(p.units, withClaims...)
	for _, address := range slices.SortedFunc(maps.Keys(p.claims), netip.Addr.Compare) {
		if claim := p.claims[address]; len(p.addresses[address]) == 0 && !isAllocated(claim) {
			p.add("ipaddresses", reservation(claim))
		}
	}
	for i := range p.contents.Endpoints {
		from := &p.contents.Endpoints[i]
		p.add("endpoints", &v1.Endpoints{ObjectMeta: from.ObjectMeta, Subsets: from.Subsets})
	}
	p.addSlices()
}

// add adds a unit of one object.
func (p *planner) add(resource string, obj interface {
	runtime.Object
	metav1.Object
}) {
	p.tidy(obj)
	p.units = append(p.units, unit{{resource, nameOf(obj), obj}})
}

// tidy removes the resource version, which is never stored. Beside a cluster it also renames
// owners: the cluster's garbage collector finds Services only in portolan.dev/v1.
func (p *planner) tidy(obj metav1.Object) {
	obj.SetResourceVersion("")
	owners := obj.GetOwnerReferences()
	if p.Standalone || len(owners) == 0 {
		return
	}
	owners = slices.Clone(owners)
	for i := range owners {
		if owners[i].APIVersion == corev1.SchemeGroupVersion.String() && (owners[i].Kind == "Service" || owners[i].Kind == "Endpoints") {
			owners[i].APIVersion = v1.SchemeGroupVersion.String()
		}
	}
	obj.SetOwnerReferences(owners)
}

func (p *planner) addNamespaces() {
	wanted := p.namespacesWithObjects()
	for i := range p.contents.Namespaces {
		if from := &p.contents.Namespaces[i]; wanted[from.Name] {
			p.add("namespaces", from)
		}
	}
}

// addSlices adds the EndpointSlices. One whose Service is gone would stay forever: beside a
// cluster, and in it, the garbage collector deletes such a slice.
func (p *planner) addSlices() {
	for i := range p.contents.EndpointSlices {
		from := &p.contents.EndpointSlices[i]
		if gone := p.goneOwner(from); gone != "" {
			p.problem("kubectl delete endpointslice -n "+from.Namespace+" "+from.Name, "leaves it out",
				"endpointslices/%s belongs to %s, which does not exist", nameOf(from), gone)
			continue
		}
		p.add("endpointslices", &v1.EndpointSlice{
			ObjectMeta: from.ObjectMeta, AddressType: from.AddressType, Endpoints: from.Endpoints, Ports: from.Ports,
		})
	}
}

// goneOwner returns the Service that owns an object, if all owners are Services that do not
// exist.
func (p *planner) goneOwner(obj metav1.Object) string {
	gone := ""
	for _, owner := range obj.GetOwnerReferences() {
		if owner.APIVersion != corev1.SchemeGroupVersion.String() || owner.Kind != "Service" || p.uids[owner.UID] != nil {
			return ""
		}
		gone = "services/" + obj.GetNamespace() + "/" + owner.Name
	}
	return gone
}

// serviceUnit returns a Service and its claims. A claim that the cluster has keeps its
// metadata.
func (p *planner) serviceUnit(svc *v1.Service) unit {
	p.tidy(svc)
	// No claim is imported for its load-balancer addresses. A pool that has them claims them
	// when the Service is updated.
	service.LeaveLoadBalancer(&svc.Status)
	objects := unit{{"services", nameOf(svc), svc}}
	for _, address := range service.ClusterIPs(svc) {
		name := address.String()
		claim := v1.NewHeldAddress(name, svc)
		if from := p.kept[address]; from != nil && from.UID != "" {
			claim.ObjectMeta = *from.ObjectMeta.DeepCopy()
			claim.Labels = map[string]string{}
			maps.Copy(claim.Labels, from.Labels)
			maps.Copy(claim.Labels, v1.HeldAddressLabels(name))
			p.tidy(claim)
		}
		objects = append(objects, object{"ipaddresses", name, claim})
	}
	ports := service.NodePorts(svc)
	for _, port := range slices.Sorted(maps.Keys(ports)) {
		name := strconv.Itoa(int(port))
		objects = append(objects, object{"nodeports", name, v1.NewHeldPort(name, ports[port], svc)})
	}
	return objects
}

// reservation returns the claim of an address that no Service holds.
func reservation(from *networkingv1.IPAddress) *v1.IPAddress {
	claim := &v1.IPAddress{ObjectMeta: *from.ObjectMeta.DeepCopy()}
	if parent := from.Spec.ParentRef; parent != nil {
		claim.Spec.ParentRef = &v1.ParentReference{
			Group: parent.Group, Resource: parent.Resource, Namespace: parent.Namespace, Name: parent.Name,
		}
	}
	return claim
}
