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

// Holder rewrites the text of v1.ParentReference.Holder, which names the holder of a
// claim, to the API group of the request.
func Holder(ctx context.Context, holder string) string {
	resource, rest, _ := strings.Cut(holder, "/")
	known := schema.ParseGroupResource(resource)
	if known.Group == v1.GroupName {
		known.Group = Group(ctx, known.Resource)
	}
	return known.String() + "/" + rest
}
