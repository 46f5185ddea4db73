//go:build e2e

package replay

import (
	"fmt"
	"strings"
)

// admissionCorpus returns the sequences about policies, their bindings, and webhooks. They are
// for things that neither server has, so that other sequences don't notice them.
func admissionCorpus() []Sequence {
	g := &generator{}
	g.admission(validatingPolicies, validatingPolicy, append(policyVariants(), validatingVariants()...))
	g.admission(mutatingPolicies, mutatingPolicy, append(policyVariants(), mutatingVariants()...))
	g.admission(validatingBindings, fields{"/spec/policyName": "a", "/spec/validationActions": list("Deny")},
		append(bindingVariants(), oneField("/spec/validationActions", nil, list(), list("Deny", "Warn"), list("Deny", "Deny", "Audit"),
			list("No"))...))
	g.admission(mutatingBindings, fields{"/spec/policyName": "a"}, bindingVariants())
	g.admission(validatingWebhooks, fields{"/webhooks": list(webhook())}, webhookVariants())
	g.admission(mutatingWebhooks, fields{"/webhooks": list(webhook())}, append(webhookVariants(),
		hooked(oneField("/reinvocationPolicy", "Never", "IfNeeded", "Always", ""))...))
	g.policyStatuses()
	return g.sequences
}

// things returns a rule for things, with some fields set.
func things(all ...fields) map[string]any {
	rule := object("apiGroups", list("example.com"), "apiVersions", list("v1"), "operations", list("CREATE"), "resources", list("things"))
	for _, f := range all {
		f.set(rule)
	}
	return rule
}

var (
	constraints      = fields{"/spec/matchConstraints/resourceRules": list(things())}
	validatingPolicy = constraints.with(fields{"/spec/validations": list(object("expression", "object.a == 1"))})
	mutatingPolicy   = constraints.with(fields{"/spec/reinvocationPolicy": "Never", "/spec/mutations": list(
		object("patchType", "JSONPatch", "jsonPatch", object("expression", "[]")))})
)

func ruleVariants(pointer string) (variants []variant) {
	for _, rule := range []map[string]any{
		things(fields{"/apiGroups": list("*", "a")}), things(fields{"/apiGroups": nil}), things(fields{"/apiVersions": list("v1", "*", "")}),
		things(fields{"/operations": list("*", "CREATE")}), things(fields{"/operations": list("DELETE", "READ")}),
		things(fields{"/operations": list()}), things(fields{"/resources": list("*", "a")}), things(fields{"/resources": list("*/*", "a/b")}),
		things(fields{"/resources": list("a/*", "a/b", "*/c", "d/c", "")}), things(fields{"/resources": nil}),
		things(fields{"/scope": "Namespaced"}), things(fields{"/scope": "All"}), {},
	} {
		variants = append(variants, oneField(pointer, list(rule))...)
	}
	return variants
}

func matchVariants(pointer string) []variant {
	variants := append(ruleVariants(pointer+"/resourceRules"), ruleVariants(pointer+"/excludeResourceRules")...)
	for _, name := range []any{list("a", "b"), list("a", "a"), list("a/b", "..")} {
		variants = append(variants, oneField(pointer+"/resourceRules", list(things(fields{"/resourceNames": name})))...)
	}
	bad := object("matchLabels", object("a b", "c d"), "matchExpressions", list(object("key", "k", "operator", "In")))
	return append(variants, variantsOf(
		fields{pointer + "/matchPolicy": "Exact"}, fields{pointer + "/matchPolicy": "Same"},
		fields{pointer + "/namespaceSelector": bad}, fields{pointer + "/objectSelector": bad},
		fields{pointer + "/objectSelector": object("matchLabels", object("a", "b"))},
	)...)
}

func conditionVariants(pointer string) []variant {
	var many []any
	for i := range 65 {
		many = append(many, object("name", fmt.Sprintf("c%d", i), "expression", "true"))
	}
	return oneField(pointer, list(object("name", "a", "expression", "has(object.a)")), list(object("name", "a", "expression", " true\n")),
		list(object("name", "a", "expression", "1")), list(object("name", "a", "expression", "object.")), list(object("name", "a b",
			"expression", "true")),
		list(object("expression", "true")), list(object("name", "a")), list(object("name", "a", "expression", "params.a == 1")),
		list(object("name", "a", "expression", "true"), object("name", "a", "expression", "variables.a")), many)
}

// policyVariants are for policies of both kinds.
func policyVariants() []variant {
	var variants []variant
	variants = append(variants, matchVariants("/spec/matchConstraints")...)
	variants = append(variants, conditionVariants("/spec/matchConditions")...)
	variants = append(variants, oneField("/spec/variables", list(object("name", "a", "expression", "1")), list(object("name", "a-b",
		"expression", "1")),
		list(object("name", "if", "expression", "1")), list(object("name", "a", "expression", "variables.b"), object("name", "b",
			"expression", "2")),
		list(object("name", "b", "expression", "2"), object("name", "a", "expression", "variables.b + 1")), list(object("name", "a")),
		list(object("expression", "1")), list(object("name", "a", "expression", "1 +")))...)
	variants = append(variants, oneField("/spec/paramKind", object("apiVersion", "v1", "kind", "ConfigMap"), object("apiVersion", "a/b/c",
		"kind", "A b"),
		object("apiVersion", "A/v1", "kind", "Thing"), object("apiVersion", "example.com/", "kind", ""), object())...)
	return append(variants, variantsOf(
		fields{"/spec/failurePolicy": "Ignore"}, fields{"/spec/failurePolicy": "Maybe"}, fields{"/spec/matchConstraints": nil},
		fields{"/spec/matchConstraints/resourceRules": list()}, fields{"/spec": nil}, fields{"/spec/other": "a"},
		fields{"/metadata/name": "A_b"}, fields{"/metadata/generation": 7}, fields{"/metadata/labels": object("a", "b c")},
	)...)
}

func validatingVariants() []variant {
	one := func(fields ...any) []any { return list(object(fields...)) }
	variants := oneField("/spec/validations", nil, list(), one("expression", "1"), one("expression", " "), one("expression",
		"object.a ==\n 1"),
		one("expression", "params.a"), one("expression", "variables.a"), one("expression", "true", "message", " "),
		one("expression", "true", "message", "a\nb"), one("expression", "true", "message", "no", "reason", "Forbidden"),
		one("expression", "true", "reason", "Because"), one("expression", "true", "messageExpression", "'a' + object.b"),
		one("expression", "true", "messageExpression", "1"), one("expression", "true", "messageExpression", " "),
		one("expression", "true", "messageExpression", "authorizer.path('/').check('get').reason()"),
		one("expression", "authorizer.group('').resource('pods').check('get').allowed()"))
	variants = append(variants, oneField("/spec/auditAnnotations", one("key", "a", "valueExpression", "'b'"), one("key", "a b",
		"valueExpression", " 1 "),
		one("key", "a", "valueExpression", " "), one("key", "a", "valueExpression", "'"+strings.Repeat("x", 5120)+"'"),
		list(object("key", "a", "valueExpression", "'b'"), object("key", "a", "valueExpression", "null")))...)
	return append(variants, variantsOf(
		fields{"/spec/validations": nil, "/spec/auditAnnotations": one("key", "a", "valueExpression", "'b'")},
		fields{"/spec/paramKind": object("apiVersion", "v1", "kind", "ConfigMap"), "/spec/validations": one("expression",
			"params.data.a == 'b'")},
		fields{"/spec/variables": one("name", "a", "expression", "object.b"), "/spec/validations": one("expression", "variables.a == 1")},
		fields{"/spec/variables": one("name", "a", "expression", "1"), "/spec/validations": one("expression", "variables.a == 'b'")},
		fields{"/status": object("observedGeneration", 3)},
	)...)
}

func mutatingVariants() []variant {
	one := func(fields ...any) []any { return list(object(fields...)) }
	expression := func(text string) map[string]any { return object("expression", text) }
	variants := oneField("/spec/mutations", nil, list(), one("patchType", "JSONPatch"), one("patchType", "ApplyConfiguration"),
		one("patchType", "Merge"), one("jsonPatch", expression("[]")), one("patchType", "JSONPatch", "jsonPatch", expression(" ")),
		one("patchType", "JSONPatch", "jsonPatch", expression("1")),
		one("patchType", "JSONPatch", "jsonPatch", expression(`[JSONPatch{op: "add", path: "/a/" + jsonpatch.escapeKey("b/c"), value: 1}]`)),
		one("patchType", "JSONPatch", "jsonPatch", expression(`[JSONPatch{op: 1}]`)),
		one("patchType", "JSONPatch", "jsonPatch", expression("[]"), "applyConfiguration", expression("Object{}")),
		one("patchType", "ApplyConfiguration", "applyConfiguration", expression("Object{spec: Object.spec{a: 1}}")),
		one("patchType", "ApplyConfiguration", "applyConfiguration", expression("Object{} ")),
		one("patchType", "ApplyConfiguration", "applyConfiguration", expression("[]")),
		one("patchType", "ApplyConfiguration", "jsonPatch", expression("[]")))
	return append(variants, oneField("/spec/reinvocationPolicy", nil, "", "IfNeeded", "Always")...)
}

func bindingVariants() []variant {
	variants := append(matchVariants("/spec/matchResources"), oneField("/spec/policyName", nil, "", "A b")...)
	for _, ref := range []map[string]any{
		{}, {"name": "a"}, {"name": "a", "parameterNotFoundAction": "Deny"}, {"name": "a/b", "namespace": "c",
			"parameterNotFoundAction": "Allow"},
		{"name": "a", "selector": map[string]any{}, "parameterNotFoundAction": "Maybe"}, {"selector": map[string]any{},
			"parameterNotFoundAction": "Deny"},
		{"selector": object("matchLabels", object("a b", "c")), "parameterNotFoundAction": ""},
	} {
		variants = append(variants, oneField("/spec/paramRef", ref)...)
	}
	return append(variants, variantsOf(fields{"/spec": nil}, fields{"/metadata/name": "A_b"}, fields{"/metadata/generation": 7})...)
}

// webhook returns a webhook for things, with some fields set.
func webhook(all ...fields) map[string]any {
	hook := object("name", "a.example.com", "clientConfig", object("url", "https://webhook.example/a"), "rules", list(things()),
		"sideEffects", "None", "admissionReviewVersions", list("v1"))
	for _, f := range all {
		f.set(hook)
	}
	return hook
}

// hooked returns variants of configurations for variants of their only webhook.
func hooked(variants []variant) (configurations []variant) {
	for _, v := range variants {
		configurations = append(configurations, variant{v.name, fields{"/webhooks": list(webhook(v.fields))}})
	}
	return configurations
}

func webhookVariants() []variant {
	service := func(all ...any) map[string]any { return object("service", object(all...)) }
	variants := append(ruleVariants("/rules"), conditionVariants("/matchConditions")...)
	variants = append(variants, oneField("/clientConfig", object(), object("url", "http://webhook.example"), object("url",
		"https://a:b@webhook.example"),
		object("url", "https://webhook.example?a"), object("url", "https://webhook.example#a"), object("url", "https://"), object("url",
			"a\u007f"),
		object("url", "https://webhook.example", "service", object("name", "a", "namespace", "b")), service("name", "a", "namespace", "b"),
		service("name", "a", "namespace", "b", "port", 0), service("name", "a", "namespace", "b", "path", "c"), service("name", "",
			"namespace", ""),
		object("url", "https://webhook.example", "caBundle", "bm90aGluZw=="))...)
	variants = append(variants, oneField("/admissionReviewVersions", nil, list(), list("v1", "v1"), list("v2"), list("v1beta1", "A b"),
		list("v2", "v1"))...)
	variants = append(variants, oneField("/name", nil, "a", "a.b", "A.example.com")...)
	variants = append(variants, oneField("/sideEffects", nil, "Some", "Unknown", "NoneOnDryRun", "")...)
	variants = append(variants, oneField("/timeoutSeconds", 0, 1, 30, 31)...)
	variants = append(variants, oneField("/failurePolicy", "Ignore", "Maybe")...)
	variants = append(variants, oneField("/matchPolicy", "Exact", "Same")...)
	variants = append(variants, oneField("/namespaceSelector", object("matchLabels", object("a", "b c")))...)
	return append(hooked(variants), variantsOf(fields{"/webhooks": nil}, fields{"/webhooks": list(webhook(), webhook())},
		fields{"/metadata/name": "A_b"}, fields{"/metadata/generation": 7})...)
}

// admission writes each variant in one of the ways.
func (g *generator) admission(r apiResource, base fields, variants []variant) {
	for i, v := range variants {
		body := r.object(base, v.fields)
		g.add(r.kind+": "+v.name, r.create(body).dry(), r.create(body), r.create(body), r.get().accept(asTable), r.get(),
			r.edit(fields{"/metadata/labels": object("a", "b")}), r.put(r.object(base)), r.delete(), r.get())
		way := ways[i%len(ways)]
		g.add(fmt.Sprintf("%s: %s, %s", r.kind, way, v.name), r.create(r.object(base)), r.change(way, v.fields), r.get(), r.delete())
	}
	g.add(r.kind+": applied", r.apply("one", r.object(base)), r.apply("one", r.object(base)), r.get(), r.apply("two", r.object(base)),
		r.put(r.object(base)), r.delete())
}

// policyStatuses writes statuses.
func (g *generator) policyStatuses() {
	r := validatingPolicies
	steps := []Step{r.create(r.object(validatingPolicy))}
	for _, status := range []map[string]any{
		object("observedGeneration", 1), object("conditions", list(object("type", "a b"))),
		object("typeChecking", object("expressionWarnings", list(object("fieldRef", "spec.validations[0].expression", "warning", "w")))),
		object("typeChecking", object("expressionWarnings", list(object("fieldRef", " "), object("fieldRef", "a[", "warning", "w")))),
	} {
		steps = append(steps, r.merge(fields{"/status": status, "/spec/failurePolicy": "Ignore"}).on("{name}/status"), r.get())
	}
	g.add(r.kind+": statuses", append(steps, r.delete())...)
}
