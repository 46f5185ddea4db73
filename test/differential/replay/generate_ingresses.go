//go:build e2e

package replay

import (
	"fmt"
	"strings"
)

// ingressCorpus returns the sequences about Ingresses and their classes, which
// only the core API groups serve.
func ingressCorpus() []Sequence {
	g := &generator{}
	g.ingresses()
	g.ingressStatuses()
	g.ingressRequests()
	g.ingressClasses()
	return g.sequences
}

// to returns a backend: a port of a Service.
func to(name string, port ...any) map[string]any {
	return object("service", object("name", name, "port", object(port...)))
}

// ruled returns the rules of an Ingress with one path.
func ruled(host any, path map[string]any) fields {
	rule := object("http", object("paths", list(path)))
	if host != nil {
		rule["host"] = host
	}
	return fields{"/spec/rules": list(rule), "/spec/defaultBackend": nil}
}

func routed(path, kind any) map[string]any {
	route := object("backend", to("web", "number", 80))
	for key, value := range map[string]any{"path": path, "pathType": kind} {
		if value != nil {
			route[key] = value
		}
	}
	return route
}

// ingressVariants fill in the spec and the metadata of an Ingress.
func ingressVariants() []variant {
	var variants []variant
	add := func(all ...fields) {
		for _, f := range all {
			variants = append(variants, variant{asJSON(f), f})
		}
	}
	for _, kind := range []any{"Exact", "Prefix", "ImplementationSpecific", "exact", "", nil} {
		for _, path := range []any{
			"/", "/a", "/a/", nil, "", "a", "//", "/a//b", "/./a", "/a/../b", "/a%2fb", "/a%2Fb", "/a/.", "/a/..", "/a//b/../c/.", "/.a", "/a..",
			"/a b", "/*", "/a?b=c", "/\u00e4",
		} {
			add(ruled(nil, routed(path, kind)))
		}
	}
	for _, host := range []string{
		"a.example.com", "*.example.com", "a", "*", "*.*.example.com", "a.*.com", "*a.example.com", "A.example.com", "1.2.3.4", "2001:db8::1",
		"01.2.3.4", "a:80",
		"a_b.example.com", "-a.example.com", ".example.com", "example.com.", "a b", "", strings.Repeat("a", 254), "*." + strings.Repeat("a", 253),
	} {
		add(ruled(host, routed("/", "Prefix")), fields{"/spec/tls": list(object("hosts", list(host)))})
	}
	resource := func(pairs ...any) map[string]any { return object("resource", object(pairs...)) }
	for _, backend := range []any{
		to("web", "number", 80), to("web", "name", "http"), to("web", "number", 0), to("web", "number", 70000), to("web", "number", -1),
		to("web", "name", "HTTP"), to("web", "name", ""), to("web", "name", "a-name-that-is-too-long"),
		to("web", "name", "80"), to("web", "name", "a--b"), to("web", "name", "http", "number", 80), to("web"), to("", "number", 80),
		to("Web", "number", 80), to("1web", "number", 80), to("a.b", "number", 80),
		to(strings.Repeat("a", 63), "number", 80), to(strings.Repeat("a", 64), "number", 80), to("Web", "number", 70000), object(),
		object("service", object()), object("service", nil),
		resource("apiGroup", "example.com", "kind", "Bucket", "name", "static"), resource("kind", "Bucket", "name", "static"),
		resource("apiGroup", "A_b", "kind", "", "name", ""), resource("apiGroup", "", "kind", "a/b", "name", ".."),
		resource("kind", "a%b", "name", "."), resource(),
		object("resource", object("kind", "a", "name", "b"), "service", object("name", "web", "port", object("number", 80))),
	} {
		add(fields{"/spec/defaultBackend": backend}, ruled(nil, object("path", "/", "pathType", "Exact", "backend", backend)))
	}
	add(
		fields{"/spec/defaultBackend": nil}, fields{"/spec": nil}, fields{"/spec": object()},
		fields{"/spec/rules": list(), "/spec/defaultBackend": nil}, fields{"/spec/rules": list(object())}, fields{
			"/spec/rules": list(object("host", "a.example.com")),
		},
		fields{"/spec/rules": list(object("http", object()))}, fields{"/spec/rules": list(object("http", object("paths", list())))}, fields{
			"/spec/rules": list(object("host", "*.example.com", "http", object("paths", list()))),
		},
		fields{"/spec/rules": list(object("http", object("paths", list(object(), object("pathType", "Exact")))), object("host", "1.2.3.4"))},
		fields{"/spec/rules": list(object("host", "a.example.com"), object(), object("host", "b.example.com"), object("host", "c.example.com"),
			object("host", "d.example.com"))},
		fields{"/spec/rules": list(object("host", "a.example.com"), object("host", "b.example.com"), object("host", "c.example.com"), object())},
		fields{"/spec/rules": list(object("host", "a.example.com"), object("host", "b.example.com"), object("host", "c.example.com"))},
		fields{"/spec/tls": list()}, fields{"/spec/tls": list(object())}, fields{"/spec/tls": list(object("secretName", "a"))}, fields{
			"/spec/tls": list(object("secretName", "A b"), object("hosts", list("a", "a"), "secretName", "a.b")),
		},
		fields{"/spec/ingressClassName": "nginx"}, fields{"/spec/ingressClassName": ""}, fields{"/spec/ingressClassName": "A b"}, fields{
			"/spec/ingressClassName": "a.b",
		},
		fields{"/metadata/annotations": object("kubernetes.io/ingress.class", "nginx")}, fields{
			"/metadata/annotations": object("kubernetes.io/ingress.class", "nginx"), "/spec/ingressClassName": "nginx",
		},
		fields{"/metadata/annotations": object("kubernetes.io/ingress.class", "nginx"), "/spec/ingressClassName": "other"}, fields{
			"/metadata/annotations": object("kubernetes.io/ingress.class", ""), "/spec/ingressClassName": "other",
		},
		fields{"/metadata/labels": object("a", "b")}, fields{"/metadata/labels": object("a", "b c")}, fields{"/metadata/generation": 7}, fields{
			"/metadata/finalizers": list("a b"),
		},
		fields{"/status": object("loadBalancer", object("ingress", list(object("ip", "192.0.2.1"))))}, fields{"/spec/other": "a"}, fields{
			"/spec/backend": object("serviceName", "a", "servicePort", 80),
		},
	)
	return variants
}

var ingressBase = fields{"/spec/defaultBackend": to("web", "number", 80)}

func (g *generator) ingresses() {
	for i, v := range ingressVariants() {
		body := ingresses.object(ingressBase, v.fields)
		g.add("Ingress: "+v.name, ingresses.create(body).dry(), ingresses.create(body), ingresses.create(body), ingresses.get().accept(asTable),
			ingresses.edit(fields{}), ingresses.delete().dry(), ingresses.delete(), ingresses.get())
		// One of the ways is enough for each: the same rules validate all.
		way := ways[i%len(ways)]
		g.add(fmt.Sprintf("Ingress: %s, %s", way, v.name),
			ingresses.create(ingresses.object(ingressBase)), ingresses.change(way, v.fields).dry(), ingresses.change(way,
				v.fields), ingresses.get(), ingresses.delete())
	}
	for _, name := range []string{"a.b", "1", "A", "-a", strings.Repeat("a", 253), strings.Repeat("a", 254), ""} {
		g.add(fmt.Sprintf("Ingress: name %q", name), ingresses.create(ingresses.object(ingressBase, fields{"/metadata/name": name})).dry())
	}
}

// ingressStatuses writes what a controller writes.
func (g *generator) ingressStatuses() {
	points := func(points ...any) fields {
		return fields{"/status": object("loadBalancer", object("ingress", points))}
	}
	port := func(pairs ...any) fields { return points(object("ip", "192.0.2.1", "ports", list(object(pairs...)))) }
	for _, f := range []fields{
		points(object("ip", "192.0.2.1")), points(object("ip", "2001:db8::1")), points(object("hostname", "a.example.com")),
		points(object("ip", "192.0.2.2"), object("ip", "192.0.2.1"), object("hostname", "a.example.com"), object("ip", "192.0.2.1")),
		points(object("ip", "192.0.2.1", "hostname", "a.example.com")), points(), points(object()), points(object("ip", "foo")),
		points(object("ip", "192.0.2.01")), points(object("ip", "2001:DB8::1")), points(object("ip", "::ffff:192.0.2.1")),
		points(object("ip", "192.0.2.1/24")), points(object("hostname", "A_b")), points(object("hostname", "192.0.2.1")),
		points(object("hostname", "2001:db8::1")), points(object("hostname", "a b", "ip", "x")),
		port("port", 80, "protocol", "TCP"), port("port", 80), port("port", 0, "protocol", "SCTP"), port("port", 70000, "protocol", "tcp"),
		port("port", 80, "protocol", "TCP", "error", "a b"), port(),
		{"/spec/defaultBackend": to("other", "number", 81)}, {"/spec": nil}, {"/metadata/labels": object("a", "b")},
		{"/metadata/annotations": object("a", "b")}, {"/metadata/finalizers": list("a b")}, {
			"/status": nil,
		},
	} {
		name := asJSON(f)
		for _, way := range ways {
			status := ingresses.change(way, f).on("{name}/status")
			g.add(fmt.Sprintf("Ingress status: %s, %s", way, name),
				ingresses.create(ingresses.object(ingressBase)), status.dry(), status, ingresses.get(), ingresses.get().accept(asTable),
				ingresses.get().on("{name}/status").accept(asTable),
				ingresses.merge(fields{"/status": nil}), ingresses.edit(fields{"/spec/defaultBackend": to("more", "number",
					82)}), ingresses.merge(fields{"/status": nil}).on("{name}/status"), ingresses.get(), ingresses.delete())
		}
	}
	body := ingresses.object(ingressBase, points(object("ip", "192.0.2.1")))
	g.add("Ingress status: of none", ingresses.put(body).on("{name}/status"), ingresses.merge(fields{}).on("{name}/status"),
		ingresses.get().on("{name}/status"), ingresses.delete().on("{name}/status"))
	g.add("Ingress status: applied", ingresses.apply("one", body), ingresses.apply("two", body).on("{name}/status"),
		ingresses.apply("three", body).on("{name}/status"),
		ingresses.apply("three", ingresses.object(ingressBase, points(object("ip", "192.0.2.2")))).on("{name}/status"), ingresses.apply("one",
			ingresses.object(ingressBase)), ingresses.get())
}

// ingressRequests lists Ingresses, and sends requests that apply to all kinds.
func (g *generator) ingressRequests() {
	body := func(all ...fields) map[string]any { return ingresses.object(append([]fields{ingressBase}, all...)...) }
	labels := fields{"/metadata/labels": object("of", "{name}")}
	g.add("Ingress: versions", ingresses.put(body()), ingresses.put(body(fields{"/metadata/resourceVersion": "5"})),
		ingresses.apply("one", body()).dry(), ingresses.apply("one", body()), ingresses.put(body(fields{"/metadata/resourceVersion": "1"})),
		ingresses.put(body(fields{"/metadata/resourceVersion": "{RV1}"})), ingresses.put(body(labels)),
		ingresses.put(body(fields{"/metadata/uid": "other"})), ingresses.merge(fields{"/metadata/name": "other"}), ingresses.delete(),
		ingresses.delete())
	g.add("Ingress: apply", ingresses.apply("one", body()),
		ingresses.apply("two", body(fields{"/spec/defaultBackend": to("other", "number", 80)})),
		ingresses.apply("two", body(fields{"/spec/defaultBackend": to("other", "number", 80)})).with("force=true"),
		ingresses.apply("one", ingresses.object(ruled("a.example.com", routed("/", "Prefix")))), ingresses.apply("one",
			ingresses.object(fields{"/spec/unknown": 1})), ingresses.get(), ingresses.delete())
	g.add("Ingress: finalizer", ingresses.create(body(fields{"/metadata/finalizers": list("example.com/keep")})), ingresses.delete(),
		ingresses.create(body()), ingresses.merge(fields{"/spec/ingressClassName": "a"}), ingresses.merge(fields{"/metadata/finalizers": nil}),
		ingresses.get())
	g.add("Ingress: lists", ingresses.create(body(labels)), ingresses.list("labelSelector=of%3D{name}"),
		ingresses.list("fieldSelector=metadata.name%3D{name}"), ingresses.list("fieldSelector=spec.ingressClassName%3Da"),
		ingresses.list("labelSelector=of%3D{name}").accept(asTable), ingresses.list("labelSelector=of%3D{name}").accept(asMetadataList),
		ingresses.get().accept(asMetadata), ingresses.get().accept("application/yaml"), ingresses.get().accept("text/plain"),
		ingresses.deleteCollection("labelSelector=of%3D{name}").dry(), ingresses.deleteCollection("labelSelector=of%3D{name}"), ingresses.get())
	for _, validation := range []string{"Strict", "Warn", "Ignore", "other"} {
		g.add("Ingress: fields, "+validation, ingresses.create(body(fields{"/spec/other": "a"})).with("fieldValidation="+validation),
			ingresses.create(`{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"{name}","name":"{name}"}}`).with("fieldValidation="+validation))
	}
	for name, text := range map[string]string{
		"none": "", "null": "null", "a list": "[]", "of no kind": "{}",
		"another kind":       `{"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{"name":"{name}"}}`,
		"of another version": `{"apiVersion":"networking.k8s.io/v9","kind":"Ingress","metadata":{"name":"{name}"}}`,
		"of a wrong type":    `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","spec":{"rules":"a"}}`,
	} {
		g.add("Ingress: body "+name, ingresses.create(text))
	}
}

func (g *generator) ingressClasses() {
	base := fields{"/spec/controller": "example.com/ingress"}
	parameters := func(pairs ...any) fields { return fields{"/spec/parameters": object(pairs...)} }
	variants := oneField("/spec/controller", "example.com/ingress", "example.com/other", "example.com/a/b", "example.com", "example.com/",
		"/a", "", nil, "Example.com/a", "example.com/A_b", "example.com/a b", "a/b?c", "a//b", "a/../b",
		"a/"+strings.Repeat("b", 248), "a/"+strings.Repeat("b", 249), strings.Repeat("a", 251))
	variants = append(variants, oneField("/metadata/labels", object("a", "b"), object("a", "b c"))...)
	variants = append(variants, oneField("/spec", nil, object())...)
	for _, f := range []fields{
		parameters(), parameters("kind", "Config", "name", "a"), parameters("apiGroup", "example.com", "kind", "Config", "name", "a"),
		parameters("apiGroup", "A_b", "kind", "a/b", "name", ".."), parameters("apiGroup", "", "kind", "Config", "name", "a"),
		parameters("kind", "Config", "name", ""), parameters("kind", "", "name", "a"),
		parameters("kind", "Config", "name", "a", "scope", "Cluster"),
		parameters("kind", "Config", "name", "a", "scope", "Cluster", "namespace", "b"),
		parameters("kind", "Config", "name", "a", "namespace", "b"), parameters("kind", "Config", "name", "a", "scope", "Namespace"),
		parameters("kind", "Config", "name", "a", "scope", "Namespace", "namespace", "b"),
		parameters("kind", "Config", "name", "a", "scope", "Namespace", "namespace", "B c"),
		parameters("kind", "Config", "name", "a", "scope", "Namespace", "namespace", ""),
		parameters("kind", "Config", "name", "a", "scope", "cluster"), parameters("kind", "Config", "name", "a", "scope", ""),
		{"/spec/parameters": nil}, {"/metadata/generation": 7},
	} {
		variants = append(variants, variant{asJSON(f), f})
	}
	for _, v := range variants {
		body := ingressClasses.object(base, v.fields)
		g.add("IngressClass: "+v.name, ingressClasses.create(body).dry(), ingressClasses.create(body), ingressClasses.create(body),
			ingressClasses.get().accept(asTable), ingressClasses.edit(fields{}), ingressClasses.delete().dry(), ingressClasses.delete(),
			ingressClasses.get())
		for _, way := range ways {
			g.add(fmt.Sprintf("IngressClass: %s, %s", way, v.name),
				ingressClasses.create(ingressClasses.object(base)), ingressClasses.change(way, v.fields).dry(), ingressClasses.change(way,
					v.fields), ingressClasses.get(), ingressClasses.delete())
		}
	}
	for _, name := range []string{"{name}.b", "1", "A", "-a", strings.Repeat("a", 254), ""} {
		g.add(fmt.Sprintf("IngressClass: name %q", name),
			ingressClasses.create(ingressClasses.object(base, fields{"/metadata/name": name})).dry())
	}
	body := ingressClasses.object(base)
	g.add("IngressClass: of none", ingressClasses.put(body), ingressClasses.merge(fields{}), ingressClasses.delete(),
		ingressClasses.get().on("{name}/status"), ingressClasses.apply("one", body), ingressClasses.apply("one",
			ingressClasses.object()), ingressClasses.delete())
}
