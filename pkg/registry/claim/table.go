package claim

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// ReservationColumns are the columns of a claim that say for whom it is reserved, and for
// how long.
func ReservationColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		{Name: "Reserved For", Type: "string", Description: "The Service that gets the value of this reservation when it needs one."},
		{Name: "Expires", Type: "string", Description: "The time until the reservation ends."},
	}
}

// ReservationCells are the cells of ReservationColumns.
func ReservationCells(ref *v1.ParentReference, expires *metav1.Time) []any {
	service, ends := generic.None, generic.None
	if ref != nil && ref.UID == "" && ref.IsService() {
		service = ref.Namespace + "/" + ref.Name
	}
	if expires != nil && (ref == nil || ref.UID == "") {
		ends = "expired"
		if left := time.Until(expires.Time); left > 0 {
			ends = duration.HumanDuration(left)
		}
	}
	return []any{service, ends}
}
