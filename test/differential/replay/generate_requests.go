//go:build e2e

package replay

import (
	"fmt"
	"net/http"
	"strings"
)

// metadata sends what applies to objects of every kind: names, versions,
// preconditions.
func (g *generator) metadata() {
	for _, name := range []string{"1a", "a-b", "a.b", "A", "-a", "a-", "a_b", "a b", strings.Repeat("a", 63), strings.Repeat("a", 64), "a%2fb",
		".", "..", ""} {
		for _, kind := range kinds {
			body := services.object(kind.fields, fields{"/metadata/name": name})
			g.add(fmt.Sprintf("name %q of %s", name, kind.name),
				services.create(body).dry(),
				services.create(body),
			)
		}
	}
	for _, kind := range kinds {
		g.add("generated name of "+kind.name,
			services.create(services.object(kind.fields, fields{"/metadata/name": nil, "/metadata/generateName": "{name}-gen-"})),
			services.create(services.object(kind.fields, fields{"/metadata/name": nil, "/metadata/generateName": "{name}_gen-"})),
			services.create(services.object(kind.fields, fields{"/metadata/generateName": "{name}-gen-"})),
		)
	}
	for _, kind := range kinds {
		base := services.object(kind.fields)
		in := func(f fields) map[string]any { return services.object(kind.fields, f) }
		g.add("versions of "+kind.name,
			services.put(in(fields{"/metadata/resourceVersion": "5"})),
			services.create(in(fields{"/metadata/resourceVersion": "5"})),
			services.create(base),
			services.put(in(fields{"/metadata/resourceVersion": "1"})),
			services.put(in(fields{"/metadata/resourceVersion": "x"})),
			services.put(in(fields{"/metadata/resourceVersion": "{RV1}"})),
			services.put(in(fields{"/metadata/labels": object("a", "b")})),
			services.put(in(fields{"/metadata/resourceVersion": "{RV1}"})),
			services.put(in(fields{"/metadata/uid": "other"})),
			services.put(in(fields{"/metadata/uid": "{UID1}"})),
			services.merge(fields{"/metadata/resourceVersion": "1"}),
			services.merge(fields{"/metadata/uid": "other"}),
			services.merge(fields{"/metadata/uid": "{UID1}", "/metadata/labels": object("a", "c")}),
			services.merge(fields{"/metadata/name": "other"}),
			services.merge(fields{"/metadata/namespace": "other"}),
			services.merge(fields{"/metadata/creationTimestamp": "1999-01-01T00:00:00Z"}),
			services.merge(fields{"/metadata/deletionTimestamp": "1999-01-01T00:00:00Z"}),
			services.merge(fields{"/metadata/generation": 7}),
			services.merge(fields{"/metadata/selfLink": "/a"}),
			services.merge(fields{"/metadata/finalizers": list("a b")}),
			services.merge(fields{"/metadata/ownerReferences": list(object("apiVersion", "v1", "kind", "Service", "name", "a", "uid", "b"))}),
			services.merge(fields{"/metadata/ownerReferences": list(object("apiVersion", "v1", "kind", "Service"))}),
			services.delete().body(object("kind", "DeleteOptions", "apiVersion", "v1", "preconditions", object("uid", "other"))),
			services.delete().body(object("kind", "DeleteOptions", "apiVersion", "v1", "preconditions", object("resourceVersion", "1"))),
			services.delete().body(object("kind", "DeleteOptions", "apiVersion", "v1", "dryRun", list("All"))),
			services.delete().body(object("kind", "DeleteOptions", "apiVersion", "v1", "dryRun", list("Some"))),
			services.delete().body(object("kind", "Pod", "apiVersion", "v1")),
			services.delete().body(object("kind", "DeleteOptions", "apiVersion", "v1", "preconditions", object("uid", "{UID1}"))),
			services.edit(fields{}),
			services.delete(),
			services.delete(),
			services.get(),
		)
		g.add("existing "+kind.name,
			services.create(base),
			services.create(base),
			services.create(base).dry(),
			services.create(in(fields{"/spec/ports": list(port(0))})),
			services.create(in(fields{"/metadata/labels": object("a b", "c")})),
			services.create(in(fields{"/spec/clusterIP": "{taken4}"})),
			services.create(in(fields{"/spec/clusterIP": "{IP1}"})),
			services.create(in(fields{"/spec/ports": list(port(80, nodePort("{takenport}")))})),
			services.put(base),
			services.put(in(fields{"/metadata/name": "other"})),
			services.delete(),
		)
	}
}

// dryRuns write nothing and answer as the real request would.
func (g *generator) dryRuns() {
	for _, kind := range kinds {
		base := services.object(kind.fields)
		g.add("dry runs of "+kind.name,
			services.create(base).dry(),
			services.put(base).dry(),
			services.apply("one", base).dry(),
			services.get(),
			services.create(base).with("dryRun=Some"),
			services.create(base),
			services.put(base).dry(),
			services.delete().dry(),
			services.deleteCollection("").dry(),
			services.get(),
			services.edit(fields{"/metadata/finalizers": list("example.com/keep")}).dry(),
			services.merge(fields{"/spec/ports": list(port(0))}).dry(),
			services.merge(fields{"/status": object("loadBalancer", object("ingress", list(object("ip", "5.6.7.8"))))}).on("{name}/status").dry(),
			services.delete(),
			services.delete().dry(),
			services.merge(fields{}).dry(),
		)
		for _, to := range kinds {
			g.add(fmt.Sprintf("dry run from %s to %s", kind.name, to.name),
				services.create(base),
				services.put(services.object(to.fields)).dry(),
				services.change("merge", to.fields).dry(),
				services.change("apply", to.fields).dry(),
				services.get(),
				services.delete(),
			)
		}
	}
}

// lists reads and deletes collections.
func (g *generator) lists() {
	named := func(suffix string, f fields) map[string]any {
		return services.object(f, fields{"/metadata/name": "{name}-" + suffix, "/metadata/labels": object("of", "{name}", "which", suffix)})
	}
	var creates []Step
	for i, kind := range kinds {
		creates = append(creates, services.create(named(fmt.Sprint("abcdef"[i:i+1]), kind.fields)))
	}
	after := func(name string, steps ...Step) {
		g.add("lists: "+name, append(append([]Step{}, creates...), steps...)...)
	}
	var selections []Step
	for _, query := range []string{
		"", "labelSelector=which%3Da", "labelSelector=which+in+(a,b)", "labelSelector=!which", "labelSelector=a%20b", "labelSelector=which%3Dz",
		"fieldSelector=metadata.name%3D{name}-a", "fieldSelector=metadata.namespace%3D{ns}", "fieldSelector=spec.type%3DNodePort",
		"fieldSelector=spec.type!%3DNodePort",
		"fieldSelector=spec.clusterIP%3DNone", "fieldSelector=spec.clusterIP!%3DNone", "fieldSelector=spec.clusterIP%3D%3DNone",
		"fieldSelector=spec.clusterIP%3D{IP1}",
		"fieldSelector=spec.foo%3Dbar", "fieldSelector=spec.type", "fieldSelector=metadata.uid%3Da", "limit=2", "limit=2&continue=nonsense",
		"limit=-1", "limit=x",
		"resourceVersion=0", "resourceVersion=x", "resourceVersion=1&resourceVersionMatch=Exact", "resourceVersionMatch=Exact",
		"resourceVersion=0&resourceVersionMatch=NotOlderThan",
		"resourceVersion=1&resourceVersionMatch=Sideways", "sendInitialEvents=true", "timeoutSeconds=x",
	} {
		selections = append(selections, services.list(query))
	}
	after("selectors", selections...)
	after("tables", services.list("").accept(asTable), services.list("fieldSelector=spec.type%3DNodePort").accept(asTable),
		services.get().on("{name}-a").accept(asTable),
		services.get().on("{name}-d").accept(asTable), services.get().on("{name}-e").accept(asTable),
		services.get().on("{name}-zz").accept(asTable),
		services.list("includeObject=None").accept(asTable), services.list("includeObject=Object").accept(asTable),
		services.list("includeObject=Foo").accept(asTable), services.list("limit=1").accept(asTable))
	after("metadata", services.list("").accept(asMetadataList), services.get().on("{name}-a").accept(asMetadata),
		services.list("").accept(asMetadata), services.get().on("{name}-a").accept(asMetadataList))
	after("deletecollection by label", services.deleteCollection("labelSelector=which%3Da"), services.list(""),
		services.deleteCollection("labelSelector=which+in+(b,c)").dry(), services.list(""),
		services.deleteCollection("labelSelector=which+in+(b,c)"), services.list(""), services.deleteCollection("labelSelector=a%20b"))
	after("deletecollection by field", services.deleteCollection("fieldSelector=spec.type%3DNodePort"), services.list(""),
		services.deleteCollection("fieldSelector=spec.foo%3Da"),
		services.deleteCollection("fieldSelector=metadata.name%3D{name}-b"), services.deleteCollection("").body(object("kind", "DeleteOptions",
			"apiVersion", "v1", "dryRun", list("All"))), services.list(""), services.deleteCollection(""), services.list(""))
	for _, kind := range kinds {
		g.add("table of "+kind.name,
			services.create(services.object(kind.fields)).accept(asTable),
			services.get().accept(asTable),
			services.merge(fields{"/spec/externalIPs": list("1.2.3.4")}).accept(asTable),
			services.merge(fields{"/status": object("loadBalancer",
				object("ingress", list(object("ip", "5.6.7.8"), object("hostname", "a.example.com"))))}).on("{name}/status").accept(asTable),
			services.get().accept(asTable),
			services.get().accept(asMetadata),
			services.delete().accept(asTable),
		)
	}
}

// requests sends requests that are invalid whatever the object.
func (g *generator) requests() {
	base := kinds[0].fields
	for _, r := range []apiResource{services, endpoints, endpointSlices, serviceCIDRs, ipAddresses} {
		extra := fields{}
		if r.kind == "Service" {
			extra = base
		}
		in := func(f fields) map[string]any { return r.object(extra, f) }
		create := func(body any) Step { return r.create(body) }
		none := r.list("fieldSelector=metadata.name%3Dnone")
		g.add("requests: bodies, "+r.kind,
			create("").dry(), create("{").dry(), create("[]").dry(), create(`"a"`).dry(), create("null").dry(), create("{}").dry(),
			create(in(fields{"/kind": "Nothing"})).dry(), create(in(fields{"/kind": nil})).dry(), create(in(fields{"/apiVersion": nil})).dry(),
			create(in(fields{"/spec": 1})).dry(), create(in(fields{"/spec": "a"})).dry(), create(in(fields{"/spec": list()})).dry(),
			create(in(fields{"/metadata": "a"})).dry(),
			create(in(fields{"/metadata/labels": object("a", 1)})).dry(), create(in(fields{"/metadata/name": 1})).dry(),
			create(in(fields{"/metadata/creationTimestamp": "yesterday"})).dry(),
		)
		g.add("requests: namespaces, "+r.kind,
			create(in(fields{"/metadata/namespace": "other"})).dry(), create(in(fields{"/metadata/namespace": "{ns}"})).dry(),
			r.put(in(fields{"/metadata/namespace": "other"})).dry(), r.put(in(fields{"/metadata/name": "other"})).dry(),
			r.put(in(fields{"/metadata/name": nil})).dry(),
		)
		unknown := in(fields{"/spec/foo": "bar", "/metadata/foo": "bar", "/foo": "bar"})
		twice := `{"apiVersion":"` + r.apiVersion + `","kind":"` + r.kind +
			`","metadata":{"name":"{name}","name":"{name}"},"metadata":{"name":"{name}"}}`
		for _, validation := range []string{"Strict", "Warn", "Ignore", "", "strict"} {
			query := "fieldValidation=" + validation
			g.add(fmt.Sprintf("requests: fields %q, %s", validation, r.kind),
				create(unknown).with(query).dry(), create(twice).with(query).dry(), r.put(unknown).with(query).dry(),
				r.apply("one", in(fields{"/metadata/foo": "bar"})).with(query).dry(),
				create(in(nil)).with(query),
				r.patch(merge, fields{"/spec/foo": "bar"}.mergePatch()).with(query),
				r.patch(strategic, fields{"/spec/foo": "bar"}.mergePatch()).with(query),
				r.patch(jsonPatch, fields{"/spec/foo": "bar"}.jsonPatch()).with(query),
				r.patch(merge, `{"metadata":{"labels":{"a":"b","a":"c"}}}`).with(query),
			)
		}
		g.add("requests: methods, "+r.kind,
			Step{Method: http.MethodPost, Path: r.named("{name}"), ContentType: plain, Body: in(nil)},
			Step{Method: http.MethodPut, Path: r.collection, ContentType: plain, Body: in(nil)},
			Step{Method: http.MethodPatch, Path: r.collection, ContentType: merge, Body: "{}"},
			Step{Method: "BREW", Path: r.collection},
			r.get().on("{name}/scale"), r.get().on("{name}/nothing"), r.put(in(nil)).on("{name}/nothing"), r.get().on("{name}/status/more"),
			r.create(in(nil)).on("{name}/status"), r.delete().on("{name}/status"), r.get().on("{name}/status"),
		)
		g.add("requests: media types, "+r.kind,
			none.accept("text/html"), none.accept("application/cbor"), none.accept("application/nothing"), none.accept("*/*"),
			none.accept("application/yaml"),
			none.accept("application/json;as=Nothing;v=v1;g=meta.k8s.io"), none.accept("application/json;as=Table;v=v2;g=meta.k8s.io"),
			none.accept(asTable),
			Step{Method: http.MethodPost, Path: r.collection, ContentType: "text/plain", Body: in(nil)}.dry(),
			Step{Method: http.MethodPost, Path: r.collection, ContentType: "application/yaml", Body: "apiVersion: x\nkind: [\n"}.dry(),
			Step{Method: http.MethodPatch, Path: r.named("{name}"), ContentType: plain, Body: "{}"},
			Step{Method: http.MethodPatch, Path: r.named("{name}"), ContentType: "text/plain", Body: "{}"},
		)
		patched := []Step{create(in(nil))}
		for _, contentType := range []string{merge, strategic, jsonPatch} {
			for _, body := range []string{"", "{", "[]", "{}", "null", "1", `{"spec":1}`, `{"metadata":null}`, `{"kind":"Nothing"}`,
				`{"apiVersion":"v9"}`, `[{"op":"add"}]`, `[{"op":"nothing","path":"/a"}]`, `[{"op":"remove","path":"/nothing"}]`} {
				patched = append(patched, r.patch(contentType, body).dry())
			}
		}
		for _, body := range []string{"", "{", "[]", "{}", "a: [", `{"kind":"Nothing"}`, `{"metadata":{"managedFields":[{}]}}`} {
			patched = append(patched, r.apply("one", body).dry())
		}
		g.add("requests: patches, "+r.kind, patched...)
	}
	g.add("requests: an Endpoints as a Service", services.create(endpoints.object()), services.put(endpoints.object()))
	g.add("requests: a Service as an Endpoints", endpoints.create(services.object(base)), endpoints.put(services.object(base)))
}

// endpoints makes requests about Endpoints.
func (g *generator) endpoints() {
	subset := func(f fields) fields {
		one := object("addresses", list(object("ip", "1.2.3.4")), "ports", list(object("port", 80)))
		f.set(one)
		return fields{"/subsets": list(one)}
	}
	var variants []variant
	tried := func(pointer string, values ...any) {
		for _, value := range values {
			variants = append(variants, variant{pointer + "=" + asJSON(value), subset(fields{pointer: value})})
		}
	}
	address := func(pairs ...any) []any { return list(object(append(list("ip", "1.2.3.4"), pairs...)...)) }
	for _, ip := range []string{"1.2.3.4", "2001:db8::1", "2001:DB8::1", "foo", "", "01.2.3.4", "::ffff:1.2.3.4", "0.0.0.0", "127.0.0.1",
		"::1", "169.254.1.1", "fe80::1", "224.0.0.1", "ff02::1", "239.1.1.1"} {
		tried("/addresses", list(object("ip", ip)))
		tried("/notReadyAddresses", list(object("ip", ip)))
	}
	tried("/addresses", nil, list(), list(object()), address("hostname", "a"), address("hostname", "A"), address("hostname", "a.b"),
		address("nodeName", "a.b"), address("nodeName", "A b"),
		address("targetRef", object("kind", "Pod", "name", "a", "namespace", "b", "uid", "c")), list(object("ip", "2.2.2.2"),
			object("ip", "1.1.1.1"), object("ip", "1.1.1.1")))
	tried("/ports", nil, list(), list(object("port", 0)), list(object("port", 65536)), list(object("port", 80, "protocol", "UDP")),
		list(object("port", 80, "protocol", "udp")),
		list(object("port", 80), object("port", 81)), list(object("port", 80, "name", "a"), object("port", 81, "name", "b")),
		list(object("port", 80, "name", "a"), object("port", 81, "name", "a")),
		list(object("port", 80, "name", "A")), list(object("port", 80, "name", strings.Repeat("a", 64))), list(object("port", 80, "appProtocol",
			"http")), list(object("port", 80, "appProtocol", "a b")), list(object("name", "a")))
	variants = append(variants,
		variant{"no subsets", fields{}}, variant{"empty subsets", fields{"/subsets": list()}}, variant{
			"empty subset", fields{"/subsets": list(object())},
		},
		variant{"labels", subset(nil).with(fields{"/metadata/labels": object("a", "b c")})},
		variant{"managed", subset(fields{"/addresses": list(object("ip",
			"2001:DB8::1"))}).with(fields{"/metadata/labels": object("endpoints.kubernetes.io/managed-by", "endpoint-controller")})},
	)
	for _, v := range variants {
		body := endpoints.object(v.fields)
		g.add("endpoints: "+v.name,
			endpoints.create(body).dry(), endpoints.create(body), endpoints.create(body), endpoints.get().accept(asTable),
			endpoints.edit(fields{}), endpoints.delete().dry(), endpoints.delete(), endpoints.get())
		for _, way := range ways {
			g.add(fmt.Sprintf("endpoints: %s, %s", way, v.name),
				endpoints.create(endpoints.object(subset(fields{}))), endpoints.change(way, v.fields).dry(), endpoints.change(way,
					v.fields), endpoints.get(), endpoints.delete())
		}
	}
	body := endpoints.object(subset(fields{}))
	for _, name := range []string{"a.b", "1", "A", "-a", strings.Repeat("a", 253), strings.Repeat("a", 254), ""} {
		g.add(fmt.Sprintf("endpoints: name %q", name), endpoints.create(endpoints.object(subset(fields{}), fields{"/metadata/name": name})))
	}
	g.add("endpoints: versions",
		endpoints.put(body), endpoints.put(body), endpoints.put(endpoints.object(fields{"/metadata/resourceVersion": "1"})),
		endpoints.put(endpoints.object(fields{"/metadata/uid": "other"})),
		endpoints.merge(fields{"/metadata/finalizers": list("example.com/keep")}), endpoints.delete(), endpoints.create(body),
		endpoints.merge(fields{"/metadata/finalizers": nil}), endpoints.get())
	g.add("endpoints: lists", endpoints.create(body), endpoints.list(""), endpoints.list("").accept(asTable),
		endpoints.list("").accept(asMetadataList), endpoints.list("fieldSelector=subsets%3Da"),
		endpoints.list("fieldSelector=metadata.name%3D{name}"), endpoints.deleteCollection("labelSelector=a%3Db"),
		endpoints.deleteCollection("").dry(), endpoints.deleteCollection(""), endpoints.list(""))
	g.add("endpoints: apply", endpoints.apply("one", body),
		endpoints.apply("two", endpoints.object(subset(fields{"/ports": list(object("port", 81))}))),
		endpoints.apply("two", endpoints.object(subset(fields{"/ports": list(object("port", 81))}))).with("force=true"), endpoints.apply("one",
			endpoints.object()), endpoints.delete())
	for _, kind := range kinds {
		g.add("endpoints: of a deleted "+kind.name, services.create(services.object(kind.fields)), endpoints.create(body),
			services.delete().dry(), endpoints.get(), services.delete(), endpoints.get())
	}
	many := make([]any, 1500)
	for i := range many {
		many[i] = object("ip", fmt.Sprintf("1.2.%d.%d", i/250, i%250+1))
	}
	g.add("endpoints: many", endpoints.create(endpoints.object(subset(fields{"/addresses": many}))), endpoints.get().accept(asTable),
		endpoints.delete())
}
