// Package apigroup determines the API group of a request.
//
// A server with the core API groups serves the same objects there and in portolan.dev
// (package apis/core). Answers name the group of the request. The framework takes care of
// most answers; the layers below it use this package for their own messages.
package apigroup

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/portolan-dev/portolan/apis/core"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// IsCore reports whether a request is for a core API group. It is false for the server's
// own work, which has no request.
func IsCore(ctx context.Context) bool {
	info, known := request.RequestInfoFrom(ctx)
	return known && info.IsResourceRequest && info.APIGroup != v1.GroupName
}

// Group returns the API group of a resource of portolan.dev in the view of the request:
// a core API group if the request is for one and it has the resource, or else
// portolan.dev.
func Group(ctx context.Context, resource string) string {
	if group, served := core.Group(resource); served && IsCore(ctx) {
		return group
	}
	return v1.GroupName
}

// Resource returns a resource with its Group.
func Resource(ctx context.Context, resource string) schema.GroupResource {
	return schema.GroupResource{Group: Group(ctx, resource), Resource: resource}
}

// Kind returns the kind of a resource's objects with its Group.
func Kind(ctx context.Context, resource, kind string) schema.GroupKind {
	return schema.GroupKind{Group: Group(ctx, resource), Kind: kind}
}

// Holder names the holder of a claim, as v1.ParentReference.Holder does, in the API group of
// the request.
func Holder(ctx context.Context, holder v1.ParentReference) string {
	if strings.EqualFold(holder.Group, v1.GroupName) {
		holder.Group = Group(ctx, strings.ToLower(holder.Resource))
	}
	return holder.Holder()
}
