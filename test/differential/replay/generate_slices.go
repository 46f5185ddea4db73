//go:build e2e

package replay

import (
	"fmt"
	"strings"
)

// slice are the fields of a valid EndpointSlice.
func slice() fields {
	return fields{
		"/addressType": "IPv4", "/endpoints": list(object("addresses", list("1.2.3.4"))),
		"/ports": list(object("port", 80)), "/metadata/labels": object("kubernetes.io/service-name", "{name}"),
	}
}

// sliceOf are the fields of an EndpointSlice with addresses of a type.
func sliceOf(kind string, addresses ...any) fields {
	return fields{"/addressType": kind, "/endpoints": list(object("addresses", list(addresses...)))}
}

// sliceVariants are EndpointSlices with one field changed, valid and invalid.
func sliceVariants() []variant {
	endpoint := func(pairs ...any) fields {
		return fields{"/endpoints": list(object(append(list("addresses", list("1.2.3.4")), pairs...)...))}
	}
	var variants []variant
	for _, f := range []fields{
		sliceOf("IPv6", "2001:db8::1"), sliceOf("IPv6", "1.2.3.4"), sliceOf("IPv4", "2001:db8::1"), sliceOf("IPv6", "2001:DB8::1"),
		sliceOf("IPv6", "::1"),
		sliceOf("IPv4", "foo"), sliceOf("IPv4", ""), sliceOf("IPv4", "01.2.3.4"), sliceOf("IPv4", "127.0.0.1"),
		sliceOf("IPv4", "169.254.1.1"), sliceOf("IPv4", "224.0.0.1"), sliceOf("IPv4", "0.0.0.0"),
		sliceOf("IPv6", "fe80::1"), sliceOf("IPv6", "::ffff:1.2.3.4"), sliceOf("IPv4"), sliceOf("IPv4", "1.2.3.4", "1.2.3.4"),
		sliceOf("IPv4", "1.2.3.4", "1.2.3.5"),
		sliceOf("FQDN", "a.example.com"), sliceOf("FQDN", "a"), sliceOf("FQDN", "A_b.c"), sliceOf("FQDN", "1.2.3.4"),
		{"/addressType": nil}, {"/addressType": ""}, {"/addressType": "ipv4"}, {"/addressType": "IP"},
		{"/endpoints": nil}, {"/endpoints": list()}, {"/endpoints": list(object())}, {"/endpoints": list(object("addresses", nil))},
		endpoint("hostname", "a"), endpoint("hostname", "A"), endpoint("hostname", "a.b"), endpoint("nodeName", "a.b"),
		endpoint("nodeName", "A b"), endpoint("zone", "a"), endpoint("zone", "a b"), endpoint("zone", ""),
		endpoint("conditions", object("ready", true, "serving", false, "terminating", true)), endpoint("conditions", object()),
		endpoint("conditions", object("ready", "yes")),
		endpoint("targetRef", object("kind", "Pod", "name", "a", "namespace", "b")), endpoint("deprecatedTopology", object("a", "b")),
		endpoint("deprecatedTopology", object("kubernetes.io/hostname", "node")),
		endpoint("deprecatedTopology", object("topology.kubernetes.io/zone", "z")),
		endpoint("hints", object("forZones", list(object("name", "a")))),
		endpoint("hints", object("forZones", list(object("name", "a"), object("name", "a")))),
		endpoint("hints", object("forZones", list(object("name", "a b")))), endpoint("hints", object("forZones", list(object()))),
		endpoint("hints", object()),
		endpoint("hints", object("forNodes", list(object("name", "n")))),
		endpoint("hints", object("forNodes", list(object("name", "n"), object("name", "n")))),
		endpoint("hints", object("forNodes", list(object("name", "N b")))),
		endpoint("hints", object("forZones", many(9, func(i int) any { return object("name", fmt.Sprintf("z%d", i)) }))),
		{"/ports": nil}, {"/ports": list()}, {"/ports": list(object())}, {"/ports": list(object("port", 0))},
		{"/ports": list(object("port", 70000))}, {
			"/ports": list(object("port", -1)),
		},
		{"/ports": list(object("port", 80, "name", "a"))}, {"/ports": list(object("port", 80, "name", "A"))}, {
			"/ports": list(object("port", 80, "name", strings.Repeat("a", 64))),
		},
		{"/ports": list(object("port", 80, "name", "a"), object("port", 81, "name", "b"))},
		{"/ports": list(object("port", 80, "name", "a"), object("port", 81, "name", "a"))}, {
			"/ports": list(object("port", 80), object("port", 81)),
		},
		{"/ports": list(object("port", 80, "protocol", "UDP"))}, {"/ports": list(object("port", 80, "protocol", "udp"))}, {
			"/ports": list(object("name", "a")),
		},
		{"/ports": list(object("port", 80, "appProtocol", "http"))}, {"/ports": list(object("port", 80, "appProtocol", "a b"))}, {
			"/ports": list(object("port", 80, "appProtocol", "kubernetes.io/h2c")),
		},
		{"/metadata/labels": object("a", "b c")}, {"/metadata/labels": object("endpointslice.kubernetes.io/managed-by",
			"endpointslice-controller.k8s.io")}, {
			"/metadata/annotations": object("a", "b"),
		},
	} {
		variants = append(variants, variant{asJSON(f), f})
	}
	return variants
}

// endpointSlices makes requests about EndpointSlices of discovery.k8s.io.
func (g *generator) endpointSlices() {
	base := slice()
	for _, v := range sliceVariants() {
		body := endpointSlices.object(base, v.fields)
		g.add("slices: "+v.name,
			endpointSlices.create(body).dry(), endpointSlices.create(body), endpointSlices.create(body), endpointSlices.get().accept(asTable),
			endpointSlices.edit(fields{}), endpointSlices.delete().dry(), endpointSlices.delete(), endpointSlices.get())
		for _, way := range ways {
			g.add(fmt.Sprintf("slices: %s, %s", way, v.name),
				endpointSlices.create(endpointSlices.object(base)), endpointSlices.change(way, v.fields).dry(), endpointSlices.change(way,
					v.fields), endpointSlices.get(), endpointSlices.delete())
		}
	}
	g.sliceRequests()
}

// sliceRequests are requests whose answers do not depend on one field: names,
// versions, lists, server-side apply and the like.
func (g *generator) sliceRequests() {
	base := slice()
	body := endpointSlices.object(base)
	for _, name := range []string{"a.b", "1", "A", "-a", strings.Repeat("a", 253), strings.Repeat("a", 254), ""} {
		g.add(fmt.Sprintf("slices: name %q", name), endpointSlices.create(endpointSlices.object(base, fields{"/metadata/name": name})).dry())
	}
	g.add("slices: generated name",
		endpointSlices.create(endpointSlices.object(base, fields{"/metadata/name": nil, "/metadata/generateName": "{name}-gen-"})))
	g.add("slices: of none", endpointSlices.put(body), endpointSlices.merge(fields{}), endpointSlices.delete(), endpointSlices.get(),
		endpointSlices.apply("one", body).dry())
	g.add("slices: generations", endpointSlices.create(endpointSlices.object(base, fields{"/metadata/generation": 7})),
		endpointSlices.edit(fields{"/metadata/annotations": object("a", "b")}), endpointSlices.edit(fields{"/metadata/labels": object("a", "b")}),
		endpointSlices.edit(fields{"/ports": list(object("port",
			81))}), endpointSlices.edit(fields{}), endpointSlices.merge(fields{"/metadata/generation": 9}), endpointSlices.delete())
	g.add("slices: versions", endpointSlices.create(body),
		endpointSlices.put(endpointSlices.object(base, fields{"/metadata/resourceVersion": "1"})), endpointSlices.put(body),
		endpointSlices.put(endpointSlices.object(base, fields{"/metadata/uid": "other"})),
		endpointSlices.merge(fields{"/metadata/finalizers": list("example.com/keep")}), endpointSlices.delete(), endpointSlices.create(body),
		endpointSlices.merge(fields{"/metadata/finalizers": nil}), endpointSlices.get())
	g.add("slices: lists", endpointSlices.create(body), endpointSlices.list(""), endpointSlices.list("").accept(asTable),
		endpointSlices.list("").accept(asMetadataList), endpointSlices.list("fieldSelector=addressType%3DIPv4"),
		endpointSlices.list("fieldSelector=metadata.name%3D{name}"), endpointSlices.list("labelSelector=kubernetes.io/service-name%3D{name}"),
		endpointSlices.deleteCollection("labelSelector=a%3Db"), endpointSlices.deleteCollection("").dry(), endpointSlices.deleteCollection(""),
		endpointSlices.list(""))
	g.add("slices: apply", endpointSlices.apply("one", body),
		endpointSlices.apply("two", endpointSlices.object(base, fields{"/ports": list(object("port", 81))})),
		endpointSlices.apply("two", endpointSlices.object(base,
			fields{"/ports": list(object("port",
				81))})).with("force=true"), endpointSlices.apply("one", endpointSlices.object(fields{"/addressType": "IPv4", "/endpoints": list()})),
		endpointSlices.delete())
	g.add("slices: many endpoints",
		endpointSlices.create(endpointSlices.object(base, fields{"/endpoints": many(1000, func(i int) any {
			return object("addresses", list(fmt.Sprintf("1.2.%d.%d", i/250, i%250+1)))
		})})),
		endpointSlices.get().accept(asTable),
		endpointSlices.create(endpointSlices.object(base, fields{"/endpoints": many(1001, func(i int) any {
			return object("addresses", list(fmt.Sprintf("1.2.%d.%d", i/250, i%250+1)))
		})})).dry(),
		endpointSlices.create(endpointSlices.object(base,
			sliceOf("IPv4", many(101, func(i int) any { return fmt.Sprintf("1.2.3.%d", i+1) })...))).dry(),
		endpointSlices.delete(),
	)
	g.add("slices: by hand, of a deleted Service", services.create(services.object(kinds[0].fields)), endpointSlices.create(body),
		services.delete(), endpointSlices.get())
	written := endpointSlices.object(base,
		fields{"/metadata/labels": object("kubernetes.io/service-name", "{name}", "endpointslice.kubernetes.io/managed-by",
			"endpointslice-controller.k8s.io")})
	g.add("slices: of a deleted Service", services.create(services.object(kinds[0].fields)), endpointSlices.create(written), services.delete(),
		endpointSlices.get())
}

func many(n int, value func(int) any) []any {
	values := []any{}
	for i := range n {
		values = append(values, value(i))
	}
	return values
}
