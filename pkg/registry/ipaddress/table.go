package ipaddress

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/apis/core"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/claim"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of CoreTableConvertor and those of reservations.
var TableConvertor = newTable(v1.Resource("ipaddresses"), (*v1.ParentReference).Holder, claim.ReservationColumns(), reservationCells)

// CoreTableConvertor has the columns of upstream's IPAddress table
// (pkg/printers/internalversion), and the column Age. Upstream sends its cells but does
// not declare it. Holders are named as in networking/v1.
var CoreTableConvertor = newTable(networkingv1.Resource("ipaddresses"), func(ref *v1.ParentReference) string {
	holder := core.Holder(ref)
	return (&v1.ParentReference{Group: holder.Group, Resource: holder.Resource, Namespace: holder.Namespace, Name: holder.Name}).Holder()
}, nil, func(*v1.IPAddress) []any { return nil })

func reservationCells(address *v1.IPAddress) []any {
	return claim.ReservationCells(address.Spec.ParentRef, address.Spec.ExpirationTimestamp)
}

func newTable(resource schema.GroupResource, holderOf func(*v1.ParentReference) string,
	more []metav1.TableColumnDefinition, moreCells func(*v1.IPAddress) []any) rest.TableConvertor {
	return generic.NewTable(resource, slices.Concat([]metav1.TableColumnDefinition{
		generic.NameColumn(),
		{Name: "ParentRef", Type: "string", Description: "The object that holds the address."},
	}, more, []metav1.TableColumnDefinition{generic.AgeColumn()}), func(address *v1.IPAddress) []any {
		holder := generic.None
		if ref := address.Spec.ParentRef; ref != nil {
			holder = holderOf(ref)
		}
		return slices.Concat([]any{address.Name, holder}, moreCells(address), []any{generic.Age(address.CreationTimestamp)})
	})
}
