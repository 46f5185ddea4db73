package claims

import (
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// maxMetadataSize bounds the metadata of a held claim that its Service rewrites.
// The Service writes all of them in one transaction, and etcd takes 1.5 MiB and
// 128 operations in one by default.
const maxMetadataSize = 4 << 10

// guardedClaim is what the guard has to know of a claim.
type guardedClaim struct {
	resource string
	noun     string
	meta     *metav1.ObjectMeta
	parent   *v1.ParentReference
	// labels are those that the server keeps on the claim while it is held.
	labels map[string]string
	// rewritten says that a change of the Service rewrites the claim.
	rewritten bool
}

func guardedClaimOf(object runtime.Object) (guardedClaim, bool) {
	switch object := object.(type) {
	case *v1.IPAddress:
		return guardedClaim{
			resource: "ipaddresses", noun: "address", meta: &object.ObjectMeta, parent: object.Spec.ParentRef,
			labels: v1.HeldAddressLabels(object.Name),
		}, true
	case *v1.NodePort:
		return guardedClaim{resource: "nodeports", noun: "port", meta: &object.ObjectMeta, parent: object.Spec.ParentRef, rewritten: true}, true
	default:
		return guardedClaim{}, false
	}
}

func (c guardedClaim) held() bool { return c.parent != nil && c.parent.UID != "" }

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
