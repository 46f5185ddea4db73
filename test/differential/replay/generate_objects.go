//go:build e2e

package replay

import "fmt"

// statuses writes the status of every kind of Service.
func (g *generator) statuses() {
	ingresses := []variant{
		{"an address", fields{"/status/loadBalancer/ingress": list(object("ip", "5.6.7.8"))}},
		{"two addresses", fields{"/status/loadBalancer/ingress": list(object("ip", "5.6.7.8"), object("ip", "2001:db8::1"))}},
		{"a name", fields{"/status/loadBalancer/ingress": list(object("hostname", "lb.example.com"))}},
		{"none", fields{"/status/loadBalancer/ingress": list()}},
		{"null", fields{"/status/loadBalancer/ingress": nil}},
		{"empty", fields{"/status/loadBalancer/ingress": list(object())}},
		{"no address", fields{"/status/loadBalancer/ingress": list(object("ip", "foo"))}},
		{"leading zero", fields{"/status/loadBalancer/ingress": list(object("ip", "05.6.7.8"))}},
		{"not canonical", fields{"/status/loadBalancer/ingress": list(object("ip", "2001:DB8::1"))}},
		{"bad name", fields{"/status/loadBalancer/ingress": list(object("hostname", "A_b"))}},
		{"address as name", fields{"/status/loadBalancer/ingress": list(object("hostname", "1.2.3.4"))}},
		{"VIP", fields{"/status/loadBalancer/ingress": list(object("ip", "5.6.7.8", "ipMode", "VIP"))}},
		{"Proxy", fields{"/status/loadBalancer/ingress": list(object("ip", "5.6.7.8", "ipMode", "Proxy"))}},
		{"bad mode", fields{"/status/loadBalancer/ingress": list(object("ip", "5.6.7.8", "ipMode", "vip"))}},
		{"mode without address", fields{"/status/loadBalancer/ingress": list(object("hostname", "a.example.com", "ipMode", "VIP"))}},
		{"ports", fields{"/status/loadBalancer/ingress": list(object("ip", "5.6.7.8", "ports",
			list(object("port", 80, "protocol", "TCP"), object("port", 53, "protocol", "UDP", "error", "example.com/Broken"))))}},
		{"port without protocol", fields{"/status/loadBalancer/ingress": list(object("ip", "5.6.7.8", "ports", list(object("port", 80))))}},
		{"bad port", fields{"/status/loadBalancer/ingress": list(object("ip", "5.6.7.8", "ports",
			list(object("port", 70000, "protocol", "TCP"))))}},
		{"bad protocol", fields{"/status/loadBalancer/ingress": list(object("ip", "5.6.7.8", "ports",
			list(object("port", 80, "protocol", "ICMP"))))}},
		{"bad error", fields{"/status/loadBalancer/ingress": list(object("ip", "5.6.7.8", "ports",
			list(object("port", 80, "protocol", "TCP", "error", "a b"))))}},
		{"condition", fields{"/status/conditions": list(condition("Ready", "True", "Fine"))}},
		{"two conditions", fields{"/status/conditions": list(condition("Ready", "True", "Fine"),
			condition("example.com/Other", "Unknown", "NotSo"))}},
		{"condition twice", fields{"/status/conditions": list(condition("Ready", "True", "Fine"), condition("Ready", "False", "Fine"))}},
		{"bad condition type", fields{"/status/conditions": list(condition("a b", "True", "Fine"))}},
		{"bad condition status", fields{"/status/conditions": list(condition("Ready", "Foo", "Fine"))}},
		{"bad condition reason", fields{"/status/conditions": list(condition("Ready", "True", "not fine"))}},
		{"condition without reason", fields{"/status/conditions": list(condition("Ready", "True", ""))}},
		{"condition without type", fields{"/status/conditions": list(object("status", "True"))}},
		{"spec as well", fields{"/spec/type": "ClusterIP", "/spec/selector": object("other", "b"),
			"/status/loadBalancer/ingress": list(object("ip", "5.6.7.8"))}},
		{"metadata as well", fields{"/metadata/labels": object("a", "b"), "/metadata/annotations": object("c", "d")}},
	}
	for _, kind := range kinds {
		for _, v := range ingresses {
			for i, way := range ways {
				if kind.name != "LoadBalancer" && i != g.random.IntN(len(ways)) {
					continue
				}
				g.add(fmt.Sprintf("%s of status of %s, %s", way, kind.name, v.name),
					services.create(services.object(kind.fields)),
					services.change(way, v.fields).on("{name}/status").dry(),
					services.change(way, v.fields).on("{name}/status"),
					services.get().on("{name}/status"),
					services.change("merge", fields{"/status/loadBalancer/ingress": list(object("ip", "9.9.9.9"))}),
					services.edit(fields{"/spec/sessionAffinity": "ClientIP"}),
					services.delete(),
				)
			}
		}
		g.add("status in a create of "+kind.name,
			services.create(services.object(kind.fields,
				fields{"/status": object("loadBalancer", object("ingress", list(object("ip", "5.6.7.8"))))})),
			services.put(services.object(kind.fields, fields{"/status": object("loadBalancer", object("ingress", list(object("ip", "5.6.7.8"))))})),
			services.get().on("{name}/status"),
			services.delete(),
		)
		for _, way := range []string{"merge", "strategic", "json", "apply"} {
			g.add(fmt.Sprintf("%s of status of none, %s", way, kind.name),
				services.change(way, kind.fields.with(ingresses[0].fields)).on("{name}/status"))
		}
		g.add("put of status of none, "+kind.name,
			services.put(services.object(kind.fields, ingresses[0].fields)).on("{name}/status"),
			services.get(),
		)
	}
}

func condition(kind, status, reason string) map[string]any {
	return object("type", kind, "status", status, "reason", reason, "message", "", "lastTransitionTime", "1999-01-01T00:00:00Z")
}

// applies uses server-side apply: ownership, conflicts, and fields that are no
// longer applied.
func (g *generator) applies() {
	for _, kind := range kinds {
		base := kind.fields
		object := services.object(base)
		more := services.object(base, fields{"/spec/sessionAffinity": "ClientIP", "/metadata/labels": map[string]any{"a": "b"}})
		other := services.object(fields{"/spec/ports": list(port(80, named("other"), fields{"/protocol": "TCP"}))})
		g.add("apply of "+kind.name,
			services.apply("one", object).dry(),
			services.apply("one", object),
			services.apply("one", object),
			services.apply("one", more),
			services.apply("one", object),
			services.apply("two", other),
			services.apply("two", other).with("force=true"),
			services.apply("one", object),
			services.apply("one", services.object()),
			services.apply("two", services.object()),
			services.delete(),
		)
		g.add("apply over a create of "+kind.name,
			services.create(object),
			services.apply("one", object),
			services.apply("one", more),
			services.apply("one", services.object(base, fields{"/spec/sessionAffinity": "None"})),
			services.merge(fields{"/spec/sessionAffinity": "ClientIP"}),
			services.apply("one", services.object(base, fields{"/spec/sessionAffinity": "None"})),
			services.apply("one", services.object(base, fields{"/spec/sessionAffinity": "None"})).with("force=true"),
			services.edit(fields{"/metadata/managedFields": list()}),
			services.edit(fields{"/metadata/managedFields": list(map[string]any{})}),
			services.delete(),
		)
		g.add("apply without a manager, "+kind.name,
			services.patch(apply, object),
			services.apply("one", object).with("force=perhaps"),
			services.patch(merge, fields{"/metadata/labels": map[string]any{"a": "b"}}.mergePatch()).with("force=true"),
			services.get(),
		)
		g.add("apply of a status, "+kind.name,
			services.apply("one", object),
			services.apply("lb", services.object(fields{"/status/loadBalancer/ingress": list(map[string]any{"ip": "5.6.7.8"})})).on("{name}/status"),
			services.apply("lb", services.object(fields{"/status/loadBalancer/ingress": list(map[string]any{"ip": "5.6.7.9"})})).on("{name}/status"),
			services.apply("two", services.object(fields{"/status/loadBalancer/ingress": list(map[string]any{"ip": "5.6.7.7"})})).
				on("{name}/status"),
			services.apply("one", services.object(base, fields{"/status/loadBalancer/ingress": list(map[string]any{"ip": "5.6.7.7"})})).dry(),
			services.apply("lb", services.object(base)).on("{name}/status"),
			services.delete(),
		)
	}
	two := services.object(kinds[2].fields, fields{"/spec/ports": list(port(53, named("dns")), udp(53, named("dns-udp")))})
	g.add("apply of two protocols of one port",
		services.apply("one", two),
		services.apply("one", services.object(kinds[2].fields, fields{"/spec/ports": list(port(53, named("dns")))})),
		services.apply("two", services.object(fields{"/spec/ports": list(port(53, named("x")))})),
		services.apply("two", services.object(fields{"/spec/ports": list(port(54, named("x")))})),
		services.apply("two", services.object(fields{"/spec/ports": list(map[string]any{"name": "x"})})),
		services.apply("two", services.object(fields{"/spec/ports": list(port(54, named("x")), port(54, named("y")))})),
		services.apply("two", services.object(fields{"/spec/nothing": 1})),
		services.delete(),
	)
	g.add("strategic merge of two protocols of one port",
		services.create(two),
		services.patch(strategic, fields{"/spec/ports": list(port(53, named("dns"), fields{"/protocol": "TCP"}),
			udp(53, named("dns-udp")))}.mergePatch()),
		services.get(),
		services.delete(),
	)
	g.add("strategic merge that adds a protocol",
		services.create(services.object(kinds[0].fields, fields{"/spec/ports": list(port(53, named("dns")))})),
		services.patch(strategic, fields{"/spec/ports": list(port(53, named("dns"), fields{"/protocol": "TCP"}),
			udp(53, named("dns-udp")))}.mergePatch()),
		services.get(),
		services.delete(),
	)
}

func (r apiResource) merge(f fields) Step { return r.patch(merge, f.mergePatch()) }

// finalizers delete Services that have finalizers, which keep their claims.
func (g *generator) finalizers() {
	keep := fields{"/metadata/finalizers": list("example.com/keep")}
	again := services.object(kinds[2].fields,
		fields{"/metadata/name": "{name}-again", "/spec/clusterIP": "{free4}", "/spec/ports": list(port(80, nodePort("{port0}")))})
	for _, kind := range kinds {
		held := kind.fields.with(keep)
		if kind.name == "NodePort" {
			held = held.with(fields{"/spec/clusterIP": "{free4}", "/spec/ports": list(port(80, nodePort("{port0}")))})
		}
		for _, way := range []string{"edit", "merge", "json"} {
			for _, at := range []string{"{name}", "{name}/status"} {
				g.add(fmt.Sprintf("finalizer of %s, %s on %s", kind.name, way, at),
					services.create(services.object(held)),
					services.delete(),
					services.delete(),
					services.create(services.object(kind.fields)),
					services.create(again).dry(),
					services.change(way, fields{"/metadata/labels": object("a", "b")}),
					services.change(way, fields{"/metadata/finalizers": list("example.com/keep", "example.com/more")}),
					services.change(way, fields{"/metadata/finalizers": nil}).on(at).dry(),
					services.change(way, fields{"/metadata/finalizers": nil}).on(at),
					services.get(),
					services.create(again),
				)
			}
			g.add(fmt.Sprintf("change of a terminating %s, %s", kind.name, way),
				services.create(services.object(held)),
				services.delete(),
				services.change(way, fields{"/spec/type": "ExternalName", "/spec/externalName": "a.example.com", "/spec/clusterIP": nil,
					"/spec/clusterIPs": nil}),
				services.create(again),
				services.change(way, fields{"/spec/type": "NodePort", "/spec/ports": onePort}),
				services.get(),
			)
		}
		g.add("deletes of a kept "+kind.name,
			services.create(services.object(held)),
			services.delete().body(object("kind", "DeleteOptions", "apiVersion", "v1", "propagationPolicy", "Foreground")),
			services.get(),
			services.delete().body(object("kind", "DeleteOptions", "apiVersion", "v1", "propagationPolicy", "Orphan")),
			services.delete().body(object("kind", "DeleteOptions", "apiVersion", "v1", "propagationPolicy", "Sideways")),
			services.delete().body(object("kind", "DeleteOptions", "apiVersion", "v1", "gracePeriodSeconds", 5)),
			services.delete().body(object("kind", "DeleteOptions", "apiVersion", "v1", "preconditions", object("uid", "other"))),
			services.delete().body(object("kind", "DeleteOptions", "apiVersion", "v1", "preconditions", object("uid", "{UID1}"))),
			services.delete().body(object("kind", "DeleteOptions", "apiVersion", "v1", "preconditions", object("resourceVersion", "1"))),
			services.put(services.object(kind.fields)),
			services.get(),
		)
	}
}
