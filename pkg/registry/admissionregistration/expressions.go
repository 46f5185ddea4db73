package admissionregistration

import (
	"regexp"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

const (
	maxMatchConditions = 64
	// maxValueExpression is the length of the expression of an audit annotation, in bytes.
	maxValueExpression = 5 * 1024
)

// expressions compiles the expressions of one object.
type expressions struct {
	compiler plugincel.Compiler
	// params is true if expressions can use the variable params.
	params bool
	// stored are the expressions that the object has already. They may use what a later
	// release added and this one does not offer for new expressions.
	stored sets.Set[string]
}

func newExpressions(params bool, stored []string) *expressions {
	return &expressions{plugincel.NewCompiler(baseEnvironment()), params, sets.New(stored...)}
}

// declare validates variables, and returns what compiles the expressions that can use them. A
// variable can use those before it.
func (e *expressions) declare(variables []admissionregistrationv1.Variable, path *field.Path) (*expressions, field.ErrorList) {
	compiler, err := plugincel.NewCompositedCompiler(baseEnvironment())
	if err != nil {
		return e, field.ErrorList{field.InternalError(path, err)}
	}
	composed := &expressions{compiler, e.params, e.stored}
	var errs field.ErrorList
	for i, variable := range variables {
		errs = append(errs, composed.declareOne(compiler, variable, path.Index(i))...)
	}
	return composed, errs
}

func baseEnvironment() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
}

func (e *expressions) environment(expression string) environment.Type {
	if e.stored.Has(expression) {
		return environment.StoredExpressions
	}
	return environment.NewExpressions
}

// compile returns the errors of an expression.
func (e *expressions) compile(path *field.Path, accessor plugincel.ExpressionAccessor, declared plugincel.OptionalVariableDeclarations,
) field.ErrorList {
	declared.HasParams = e.params
	result := e.compiler.CompileCELExpression(accessor, declared, e.environment(accessor.GetExpression()))
	return expressionErrors(path, accessor.GetExpression(), result.Error)
}

func expressionErrors(path *field.Path, expression string, err *cel.Error) field.ErrorList {
	switch {
	case err == nil:
		return nil
	case err.Type == cel.ErrorTypeRequired:
		return field.ErrorList{field.Required(path, err.Detail)}
	case err.Type == cel.ErrorTypeInvalid:
		return field.ErrorList{field.Invalid(path, expression, err.Detail)}
	default:
		return field.ErrorList{field.InternalError(path, err)}
	}
}

func (e *expressions) validateMatchConditions(conditions []admissionregistrationv1.MatchCondition, path *field.Path,
) (errs field.ErrorList) {
	if len(conditions) > maxMatchConditions {
		errs = append(errs, field.TooMany(path, len(conditions), maxMatchConditions))
	}
	names := sets.New[string]()
	for i, condition := range conditions {
		path := path.Index(i)
		if expression := strings.TrimSpace(condition.Expression); expression == "" {
			errs = append(errs, field.Required(path.Child("expression"), ""))
		} else {
			errs = append(errs, e.compile(path.Child("expression"), &matchconditions.MatchCondition{Expression: expression},
				plugincel.OptionalVariableDeclarations{HasAuthorizer: true})...)
		}
		name := path.Child("name")
		if condition.Name == "" {
			errs = append(errs, field.Required(name, ""))
			continue
		}
		errs = append(errs, qualifiedName(condition.Name, name)...)
		if names.Has(condition.Name) {
			errs = append(errs, field.Duplicate(name, condition.Name))
		}
		names.Insert(condition.Name)
	}
	return errs
}

func (e *expressions) declareOne(compiler *plugincel.CompositedCompiler, variable admissionregistrationv1.Variable, path *field.Path,
) (errs field.ErrorList) {
	switch {
	case strings.TrimSpace(variable.Name) == "":
		errs = append(errs, field.Required(path.Child("name"), "name is not specified"))
	case !isIdentifier(variable.Name):
		errs = append(errs, field.Invalid(path.Child("name"), variable.Name, "must be a valid CEL identifier"))
	}
	if strings.TrimSpace(variable.Expression) == "" {
		return append(errs, field.Required(path.Child("expression"), "expression is not specified"))
	}
	result := compiler.CompileAndStoreVariable(&validating.Variable{Name: variable.Name, Expression: variable.Expression},
		plugincel.OptionalVariableDeclarations{HasParams: e.params, HasAuthorizer: true}, e.environment(variable.Expression))
	return append(errs, expressionErrors(path.Child("expression"), variable.Expression, result.Error)...)
}

func (e *expressions) validateValidation(v admissionregistrationv1.Validation, path *field.Path) (errs field.ErrorList) {
	if strings.TrimSpace(v.Expression) == "" {
		errs = append(errs, field.Required(path.Child("expression"), "expression is not specified"))
	} else {
		errs = append(errs, e.compile(path.Child("expression"), &validating.ValidationCondition{Expression: v.Expression},
			plugincel.OptionalVariableDeclarations{HasAuthorizer: true})...)
	}
	if v.MessageExpression != "" {
		path := path.Child("messageExpression")
		if strings.TrimSpace(v.MessageExpression) == "" {
			errs = append(errs, field.Invalid(path, v.MessageExpression, "must be non-empty if specified"))
		} else {
			errs = append(errs, e.compile(path, &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression},
				plugincel.OptionalVariableDeclarations{})...)
		}
	}
	switch trimmed := strings.TrimSpace(v.Message); {
	case v.Message != "" && trimmed == "":
		errs = append(errs, field.Invalid(path.Child("message"), v.Message, "must be non-empty if specified"))
	case strings.ContainsAny(trimmed, "\r\n"):
		errs = append(errs, field.Invalid(path.Child("message"), v.Message, "must not contain line breaks"))
	}
	if v.Reason != nil {
		errs = append(errs, supported(path.Child("reason"), *v.Reason, reasons)...)
	}
	return errs
}

func (e *expressions) validateAuditAnnotation(policy string, a admissionregistrationv1.AuditAnnotation, path *field.Path,
) (errs field.ErrorList) {
	if policy == "" {
		errs = append(errs, field.Invalid(path.Child("key"), a.Key, "requires metadata.name be non-empty"))
	} else {
		errs = append(errs, qualifiedName(policy+"/"+a.Key, path.Child("key"))...)
	}
	path = path.Child("valueExpression")
	expression := strings.TrimSpace(a.ValueExpression)
	switch {
	case expression == "":
		return append(errs, field.Required(path, "valueExpression is not specified"))
	case len(expression) > maxValueExpression:
		return append(errs, field.Required(path, "must not exceed 5120 bytes in length"))
	}
	result := e.compiler.CompileCELExpression(&validating.AuditAnnotationCondition{ValueExpression: expression},
		plugincel.OptionalVariableDeclarations{HasParams: e.params, HasAuthorizer: true}, e.environment(expression))
	return append(errs, expressionErrors(path, a.ValueExpression, result.Error)...)
}

func (e *expressions) validateMutation(m admissionregistrationv1.Mutation, path *field.Path) (errs field.ErrorList) {
	apply, jsonPatch := path.Child("applyConfiguration"), path.Child("jsonPatch")
	switch m.PatchType {
	case "":
		return field.ErrorList{field.Required(path.Child("patchType"), "")}
	case admissionregistrationv1.PatchTypeJSONPatch:
		if m.JSONPatch == nil {
			errs = append(errs, field.Required(jsonPatch, "must be specified when patchType is JSONPatch"))
		} else {
			expression := strings.TrimSpace(m.JSONPatch.Expression)
			errs = append(errs, e.validatePatch(&patch.JSONPatchCondition{Expression: expression}, jsonPatch)...)
		}
		if m.ApplyConfiguration != nil {
			errs = append(errs, field.Invalid(apply, "{applyConfiguration}", "must not be specified when patchType is JSONPatch"))
		}
	case admissionregistrationv1.PatchTypeApplyConfiguration:
		if m.ApplyConfiguration == nil {
			errs = append(errs, field.Required(apply, "must be specified when patchType is ApplyConfiguration"))
		} else {
			expression := strings.TrimSpace(m.ApplyConfiguration.Expression)
			errs = append(errs, e.validatePatch(&patch.ApplyConfigurationCondition{Expression: expression}, apply)...)
		}
		if m.JSONPatch != nil {
			errs = append(errs, field.Invalid(jsonPatch, "{jsonPatch}", "must not be specified when patchType is ApplyConfiguration"))
		}
	default:
		return supported(path.Child("patchType"), m.PatchType, patchTypes)
	}
	return errs
}

func (e *expressions) validatePatch(accessor plugincel.ExpressionAccessor, path *field.Path) field.ErrorList {
	if accessor.GetExpression() == "" {
		return field.ErrorList{field.Required(path.Child("expression"), "")}
	}
	return e.compile(path.Child("expression"), accessor, plugincel.OptionalVariableDeclarations{HasAuthorizer: true, HasPatchTypes: true})
}

// identifier is CEL's, which has reserved words besides.
var identifier = regexp.MustCompile("^[_a-zA-Z][_a-zA-Z0-9]*$")

func isIdentifier(name string) bool {
	reserved := []string{
		"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
		"package", "namespace", "return", "var", "void", "while",
	}
	return identifier.MatchString(name) && !slices.Contains(reserved, name)
}

func qualifiedName(name string, path *field.Path) field.ErrorList {
	return validation.Invalid(path, name, utilvalidation.IsQualifiedName(name))
}
