package review

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// attributesOf returns what a review of another user asks about.
func attributesOf(spec authorizationv1.SubjectAccessReviewSpec) authorizer.AttributesRecord {
	who := &user.DefaultInfo{Name: spec.User, Groups: spec.Groups, UID: spec.UID}
	if spec.Extra != nil {
		who.Extra = map[string][]string{}
	}
	for name, values := range spec.Extra {
		who.Extra[name] = values
	}
	return attributes(who, spec.ResourceAttributes, spec.NonResourceAttributes)
}

// attributes returns a request of a user for a resource or, without one, for a path.
func attributes(who user.Info, resource *authorizationv1.ResourceAttributes,
	other *authorizationv1.NonResourceAttributes) authorizer.AttributesRecord {
	if resource == nil {
		return authorizer.AttributesRecord{User: who, Verb: other.Verb, Path: other.Path}
	}
	record := authorizer.AttributesRecord{
		User: who, Verb: resource.Verb, Namespace: resource.Namespace, APIGroup: resource.Group, APIVersion: cmp.Or(resource.Version, "*"),
		Resource: resource.Resource, Subresource: resource.Subresource, Name: resource.Name, ResourceRequest: true,
	}
	if selector := resource.LabelSelector; selector != nil {
		record.LabelSelectorRequirements, record.LabelSelectorParsingErr = labelRequirements(selector)
	}
	if selector := resource.FieldSelector; selector != nil {
		record.FieldSelectorRequirements, record.FieldSelectorParsingErr = fieldRequirements(selector)
	}
	return record
}

// labelRequirements returns the requirements that can be understood, and an error about the
// others. Without them a request is broader, so an authorizer allows it less often.
func labelRequirements(selector *authorizationv1.LabelSelectorAttributes) (labels.Requirements, error) {
	if selector.RawSelector != "" {
		parsed, err := labels.Parse(selector.RawSelector)
		if err != nil {
			return nil, err
		}
		requirements, _ := parsed.Requirements()
		return requirements, nil
	}
	operators := map[metav1.LabelSelectorOperator]selection.Operator{
		metav1.LabelSelectorOpIn: selection.In, metav1.LabelSelectorOpNotIn: selection.NotIn,
		metav1.LabelSelectorOpExists: selection.Exists, metav1.LabelSelectorOpDoesNotExist: selection.DoesNotExist,
	}
	var requirements labels.Requirements
	var errs []error
	for _, wanted := range selector.Requirements {
		operator, known := operators[wanted.Operator]
		if !known {
			errs = append(errs, fmt.Errorf("%q is not a valid label selector operator", wanted.Operator))
			continue
		}
		requirement, err := labels.NewRequirement(wanted.Key, operator, wanted.Values)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		requirements = append(requirements, *requirement)
	}
	return requirements, utilerrors.NewAggregate(errs)
}

// fieldRequirements does the same for fields. Field selectors compare one field with one
// value.
func fieldRequirements(selector *authorizationv1.FieldSelectorAttributes) (fields.Requirements, error) {
	if selector.RawSelector != "" {
		parsed, err := fields.ParseSelector(selector.RawSelector)
		if err != nil {
			return nil, err
		}
		return parsed.Requirements(), nil
	}
	var requirements fields.Requirements
	var errs []error
	for _, wanted := range selector.Requirements {
		operators := map[metav1.FieldSelectorOperator]selection.Operator{
			metav1.FieldSelectorOpIn: selection.Equals, metav1.FieldSelectorOpNotIn: selection.NotEquals,
		}
		operator, known := operators[wanted.Operator]
		switch {
		case !known:
			errs = append(errs, fmt.Errorf("field selectors do not support %q", wanted.Operator))
		case len(wanted.Values) != 1:
			errs = append(errs, errors.New("field selectors support one value"))
		default:
			requirements = append(requirements, fields.Requirement{Field: wanted.Key, Operator: operator, Value: wanted.Values[0]})
		}
	}
	return requirements, utilerrors.NewAggregate(errs)
}

// evaluationError says what went wrong in a decision, and which selectors it did not
// consider.
func evaluationError(err error, a authorizer.AttributesRecord) string {
	var texts []string
	if err != nil {
		texts = append(texts, err.Error())
	}
	ignored := func(selector string, err error, understood int) {
		switch {
		case err == nil:
		case understood > 0:
			texts = append(texts, "spec.resourceAttributes."+selector+" partially ignored due to parse error")
		default:
			texts = append(texts, "spec.resourceAttributes."+selector+" ignored due to parse error")
		}
	}
	ignored("fieldSelector", a.FieldSelectorParsingErr, len(a.FieldSelectorRequirements))
	ignored("labelSelector", a.LabelSelectorParsingErr, len(a.LabelSelectorRequirements))
	return strings.Join(texts, "; ")
}
