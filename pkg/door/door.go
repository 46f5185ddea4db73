// Package door tells which door a request came through.
//
// The same objects are served in the group portolan.dev, which has all of them,
// and, where the server has a second door, in the groups in which upstream
// serves their likes (package apis/core). What a client is told is told in the
// names of the door that it came through. Most of that the framework sees to;
// what the layers below it say in words of their own, they ask for here.
package door

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/portolan-dev/portolan/apis/core"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Second says whether a request came through the second door. What is no
// request, such as what the server does of itself, did not.
func Second(ctx context.Context) bool {
	info, known := request.RequestInfoFrom(ctx)
	return known && info.IsResourceRequest && info.APIGroup != v1.GroupName
}

// Group is the group that has a resource of portolan.dev at the request's door.
// What upstream has none of is portolan.dev's at either.
func Group(ctx context.Context, resource string) string {
	if group, served := core.Group(resource); served && Second(ctx) {
		return group
	}
	return v1.GroupName
}

// Resource qualifies a resource with its group at the request's door.
func Resource(ctx context.Context, resource string) schema.GroupResource {
	return schema.GroupResource{Group: Group(ctx, resource), Resource: resource}
}

// Kind qualifies the kind of a resource's objects with their group at the
// request's door.
func Kind(ctx context.Context, resource, kind string) schema.GroupKind {
	return schema.GroupKind{Group: Group(ctx, resource), Kind: kind}
}

// Holder is what the holder of a claim, named as by v1.ParentReference.Holder,
// is called at the request's door.
func Holder(ctx context.Context, holder string) string {
	resource, rest, _ := strings.Cut(holder, "/")
	known := schema.ParseGroupResource(resource)
	if known.Group == v1.GroupName {
		known.Group = Group(ctx, known.Resource)
	}
	return known.String() + "/" + rest
}
