package admissionregistration

import (
	"context"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// reading is what an object makes the server read: the parameters of expressions. The zero
// value is nothing.
type reading struct {
	// field is the field of the spec.
	field string
	// policy and selector are those of a binding. Who changes them reads other parameters.
	policy, selector string
	// verb, group, version, namespace and name are what the user must be allowed.
	verb, group, version, namespace, name string
	// need says the same in words.
	need string
}

// readingKind returns what a policy with a kind of parameters reads.
func readingKind(kind *admissionregistrationv1.ParamKind) reading {
	if kind == nil {
		return reading{}
	}
	need := fmt.Sprintf(`must have "get" permission on all resources of the API group of the paramKind (kind=%s, apiVersion=%s)`,
		kind.Kind, kind.APIVersion)
	r := reading{field: "paramKind", verb: "get", group: all, version: all, namespace: all, name: all, need: need}
	if gv, err := schema.ParseGroupVersion(kind.APIVersion); err == nil {
		r.group, r.version = gv.Group, gv.Version
	}
	return r
}

// readingRef returns what a binding reads.
func readingRef(policy string, ref *admissionregistrationv1.ParamRef) reading {
	if ref == nil {
		return reading{}
	}
	verb := "get"
	if ref.Name == "" {
		verb = "list"
	}
	return reading{
		field: "paramRef", policy: policy, selector: metav1.FormatLabelSelector(ref.Selector),
		verb: verb, group: all, version: all, namespace: ref.Namespace, name: ref.Name,
		need: fmt.Sprintf("must have %q permission for all groups, versions and resources", verb),
	}
}

// mayRead returns an error unless the user of a request may read something. This keeps users
// from reading, through a policy, objects that they may not read. Upstream asks for less where
// it can tell the resource of the parameters (pkg/registry/admissionregistration, authz.go).
// Here, a user needs rights to all resources that the parameters can be of.
func mayRead(ctx context.Context, authz authorizer.UnconditionalAuthorizer, r reading) *field.Error {
	path := field.NewPath("spec", r.field)
	who, ok := apirequest.UserFrom(ctx)
	if !ok {
		return field.Forbidden(path, "cannot identify user to authorize read access to parameters")
	}
	if slices.Contains(who.GetGroups(), user.SystemPrivilegedGroup) {
		return nil
	}
	decision, _, err := authz.Authorize(ctx, authorizer.AttributesRecord{
		User: who, ResourceRequest: true, Verb: r.verb, APIGroup: r.group, APIVersion: r.version, Resource: all,
		Namespace: r.namespace, Name: r.name,
	})
	switch {
	case err != nil:
		return field.Forbidden(path, fmt.Sprintf("failed to authorize request: %v", err))
	case decision != authorizer.DecisionAllow:
		return field.Forbidden(path, fmt.Sprintf("user %q %s", who.GetName(), r.need))
	}
	return nil
}
