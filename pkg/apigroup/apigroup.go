// Package apigroup tells in which API group a request asked.
//
// portolan.dev serves every kind. A server with the core API groups serves the same
// objects there as well (package apis/core). An answer uses the names of the group in
// which the request asked. The framework sees to most of that; the layers below it ask
// here for the texts of their own.
package apigroup

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/portolan-dev/portolan/apis/core"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// IsCore reports whether a request asked in a core API group. What the server does by
// itself has no request and did not.
func IsCore(ctx context.Context) bool {
	info, known := request.RequestInfoFrom(ctx)
	return known && info.IsResourceRequest && info.APIGroup != v1.GroupName
}

// Group returns the API group of a resource of portolan.dev, as the request names it. A
// resource that no core API group has is always portolan.dev's.
func Group(ctx context.Context, resource string) string {
	if group, served := core.Group(resource); served && IsCore(ctx) {
		return group
	}
	return v1.GroupName
}

// Resource qualifies a resource with Group.
func Resource(ctx context.Context, resource string) schema.GroupResource {
	return schema.GroupResource{Group: Group(ctx, resource), Resource: resource}
}

// Kind qualifies the kind of a resource's objects with Group.
func Kind(ctx context.Context, resource, kind string) schema.GroupKind {
	return schema.GroupKind{Group: Group(ctx, resource), Kind: kind}
}

// Holder rewrites the holder of a claim, as v1.ParentReference.Holder names it, to the
// group in which the request asked.
func Holder(ctx context.Context, holder string) string {
	resource, rest, _ := strings.Cut(holder, "/")
	known := schema.ParseGroupResource(resource)
	if known.Group == v1.GroupName {
		known.Group = Group(ctx, known.Resource)
	}
	return known.String() + "/" + rest
}
