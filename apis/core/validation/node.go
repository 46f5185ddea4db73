package validation

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

// ValidateNode validates the parts of a Node that Services depend on: its metadata and
// the CIDRs of its Pods. It does not validate taints, resources and the kubelet's part
// of the status.
func ValidateNode(node *corev1.Node) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&node.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, metadataPath)
	path, cidrs := specPath.Child("podCIDRs"), node.Spec.PodCIDRs
	dual := true
	for i, cidr := range cidrs {
		errs = append(errs, utilvalidation.IsValidCIDRForLegacyField(path.Index(i), cidr, true, nil)...)
	}
	if len(cidrs) == 2 {
		// A malformed CIDR has been reported above.
		pair, err := netutils.IsDualStackCIDRStrings(cidrs)
		dual = pair || err != nil
	}
	if len(cidrs) > 2 || !dual {
		errs = append(errs, field.Invalid(path, cidrs, "may specify no more than one CIDR for each IP family"))
	}
	return portolanvalidation.Bounded(errs)
}

// ValidateNodeUpdate validates an update of a Node or of its status.
func ValidateNodeUpdate(node, old *corev1.Node) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&node.ObjectMeta, &old.ObjectMeta, metadataPath)
	addresses := sets.New[corev1.NodeAddress]()
	for i, address := range node.Status.Addresses {
		if addresses.Has(address) {
			errs = append(errs, field.Duplicate(statusPath.Child("addresses").Index(i), address))
		}
		addresses.Insert(address)
	}
	if len(old.Spec.PodCIDRs) > 0 && !slices.Equal(old.Spec.PodCIDRs, node.Spec.PodCIDRs) {
		errs = append(errs, field.Forbidden(specPath.Child("podCIDRs"), `node updates may not change podCIDR except from "" to valid`))
	}
	if old.Spec.ProviderID != "" && old.Spec.ProviderID != node.Spec.ProviderID {
		errs = append(errs, field.Forbidden(specPath.Child("providerID"), `node updates may not change providerID except from "" to valid`))
	}
	return portolanvalidation.Bounded(errs)
}
