package claim

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// claimed is what the guard has to know of a claim.
type claimed struct {
	resource string
	noun     string
	parent   *v1.ParentReference
}

func claimOf(object runtime.Object) (claimed, bool) {
	switch object := object.(type) {
	case *v1.IPAddress:
		return claimed{"ipaddresses", "address", object.Spec.ParentRef}, true
	case *v1.NodePort:
		return claimed{"nodeports", "port", object.Spec.ParentRef}, true
	default:
		return claimed{}, false
	}
}

func (c claimed) held() bool { return c.parent != nil && c.parent.UID != "" }

func sameSpec(before, after runtime.Object) bool {
	switch before := before.(type) {
	case *v1.IPAddress:
		after, ok := after.(*v1.IPAddress)
		return ok && equality.Semantic.DeepEqual(before.Spec, after.Spec)
	case *v1.NodePort:
		after, ok := after.(*v1.NodePort)
		return ok && equality.Semantic.DeepEqual(before.Spec, after.Spec)
	default:
		return true
	}
}
