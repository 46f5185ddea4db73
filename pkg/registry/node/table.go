package node

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

const (
	rolePrefix = "node-role.kubernetes.io/"
	roleLabel  = "kubernetes.io/role"
)

var (
	infoDocs   = corev1.NodeSystemInfo{}.SwaggerDoc()
	statusDocs = corev1.NodeStatus{}.SwaggerDoc()
)

// TableConvertor has the columns of upstream's Node table
// (pkg/printers/internalversion).
var TableConvertor = generic.NewTable(corev1.Resource("nodes"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Status", Type: "string", Description: "The status of the node"},
	{Name: "Roles", Type: "string", Description: "The roles of the node"},
	generic.AgeColumn(),
	{Name: "Version", Type: "string", Description: infoDocs["kubeletVersion"]},
	{Name: "Internal-IP", Type: "string", Priority: 1, Description: statusDocs["addresses"]},
	{Name: "External-IP", Type: "string", Priority: 1, Description: statusDocs["addresses"]},
	{Name: "OS-Image", Type: "string", Priority: 1, Description: infoDocs["osImage"]},
	{Name: "Kernel-Version", Type: "string", Priority: 1, Description: infoDocs["kernelVersion"]},
	{Name: "Container-Runtime", Type: "string", Priority: 1, Description: infoDocs["containerRuntimeVersion"]},
}, func(node *corev1.Node) []any {
	info := node.Status.NodeInfo
	kernel := cmp.Or(info.KernelVersion, generic.Unknown)
	if info.Architecture != "" {
		kernel += " (" + info.Architecture + ")"
	}
	return []any{
		node.Name, ready(node), roles(node), generic.Age(node.CreationTimestamp), info.KubeletVersion,
		address(node, corev1.NodeInternalIP), address(node, corev1.NodeExternalIP),
		cmp.Or(info.OSImage, generic.Unknown), kernel, cmp.Or(info.ContainerRuntimeVersion, generic.Unknown),
	}
})

func ready(node *corev1.Node) string {
	status := "Unknown"
	for _, condition := range node.Status.Conditions {
		switch {
		case condition.Type != corev1.NodeReady:
		case condition.Status == corev1.ConditionTrue:
			status = "Ready"
		default:
			status = "NotReady"
		}
	}
	if node.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

func roles(node *corev1.Node) string {
	found := sets.New[string]()
	for label, value := range node.Labels {
		if role, ok := strings.CutPrefix(label, rolePrefix); ok && role != "" {
			found.Insert(role)
		}
		if label == roleLabel && value != "" {
			found.Insert(value)
		}
	}
	return cmp.Or(strings.Join(sets.List(found), ","), generic.None)
}

// address returns the first address of a type.
func address(node *corev1.Node, kind corev1.NodeAddressType) string {
	for _, address := range node.Status.Addresses {
		if address.Type == kind {
			return address.Address
		}
	}
	return generic.None
}
