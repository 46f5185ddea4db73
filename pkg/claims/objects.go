package claims

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/apigroup"
)

func valueOf(name string) (allocation.Value, bool) {
	if addr, err := netip.ParseAddr(name); err == nil {
		return allocation.Address(addr), true
	}
	port, err := strconv.ParseInt(name, 10, 32)
	return allocation.NodePort(int32(port)), err == nil
}

func nameOf(obj runtime.Object) string {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return ""
	}
	return accessor.GetName()
}

// classesOf are the classes of values that a range object may offer.
func classesOf(obj runtime.Object) []allocation.Class {
	if _, ports := obj.(*v1.NodePortRange); ports {
		return []allocation.Class{allocation.Port}
	}
	return []allocation.Class{allocation.IPv4, allocation.IPv6}
}

// spansOf are the numbers that a range object offers; none for nil.
func spansOf(obj runtime.Object) []space.Span {
	var spans []space.Span
	switch r := obj.(type) {
	case *v1.ServiceCIDR:
		for _, text := range r.Spec.CIDRs {
			if prefix, err := netip.ParsePrefix(text); err == nil {
				spans = append(spans, space.PrefixSpan(prefix))
			}
		}
	case *v1.NodePortRange:
		if parsed, err := space.PortSpans(r.Spec.Ports, nil); err == nil {
			spans = parsed
		}
	}
	return spans
}

// revisionOf is the etcd revision an object was read at.
func revisionOf(obj runtime.Object) int64 {
	accessor, ok := obj.(metav1.Object)
	if !ok {
		return 0
	}
	revision, err := strconv.ParseInt(accessor.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return revision
}

func claimOf(parent *v1.ParentReference, revision int64) allocation.Claim {
	claim := allocation.Claim{Revision: revision}
	if parent != nil {
		claim.UID = string(parent.UID)
		claim.Holder = parent.Holder()
	}
	return claim
}

func serviceOf(obj runtime.Object) (*v1.Service, error) {
	svc, ok := obj.(*v1.Service)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("the store of Services was handed a %T", obj))
	}
	return svc, nil
}

func resourceOf(ctx context.Context, obj runtime.Object) schema.GroupResource {
	if _, ports := obj.(*v1.NodePortRange); ports {
		return apigroup.Resource(ctx, "nodeportranges")
	}
	return apigroup.Resource(ctx, "servicecidrs")
}

func kindOf(ctx context.Context, obj runtime.Object) schema.GroupKind {
	if _, ports := obj.(*v1.NodePortRange); ports {
		return apigroup.Kind(ctx, "nodeportranges", "NodePortRange")
	}
	return apigroup.Kind(ctx, "servicecidrs", "ServiceCIDR")
}
