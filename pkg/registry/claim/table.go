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
	if ref != nil && ref.UID != "" {
		return []any{generic.None, generic.None}
	}
	service := generic.None
	if ref != nil && ref.IsService() {
		service = ref.Namespace + "/" + ref.Name
	}
	return []any{service, ExpiresCell(expires)}
}

// ExpiresCell is the time until a reservation ends.
func ExpiresCell(expires *metav1.Time) string {
	if expires == nil {
		return generic.None
	}
	if left := time.Until(expires.Time); left > 0 {
		return duration.HumanDuration(left)
	}
	return "expired"
}
