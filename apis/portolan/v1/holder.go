package v1

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Holder formats the holder of a claim as in upstream's IPAddress table, for example
// services.portolan.dev/default/web or nodes/n.
func (r *ParentReference) Holder() string {
	name := strings.ToLower(schema.GroupResource{Group: r.Group, Resource: r.Resource}.String())
	if r.Namespace != "" {
		name += "/" + r.Namespace
	}
	return name + "/" + r.Name
}

// IsService reports whether the holder is a Service. The group is that of portolan.dev or
// the core group.
func (r *ParentReference) IsService() bool {
	return r.Resource == "services" && (r.Group == GroupName || r.Group == "") && r.Namespace != "" && r.Name != ""
}
