//go:build e2e

package replay

import "fmt"

// rangeCorpus returns the sequences about ServiceCIDRs and IPAddresses. They
// change where Services get their addresses from, so no other sequence may run
// beside them.
func rangeCorpus() []Sequence {
	g := &generator{}
	g.serviceCIDRs()
	g.ipAddresses()
	return g.sequences
}

// addressRange returns a ServiceCIDR of the sequence's own.
func addressRange(all ...fields) map[string]any {
	return serviceCIDRs.object(append([]fields{{"/spec/cidrs": list("{cidr4}")}}, all...)...)
}

func (g *generator) serviceCIDRs() {
	variants := oneField("/spec/cidrs", nil, list(), list("{cidr4}"), list("{cidr6}"), list("{cidr4}", "{cidr6}"), list("{cidr6}", "{cidr4}"),
		list("{cidr4}", "{cidr4b}"), list("{cidr4}", "{cidr4}"), list("{cidr4}", "{cidr6}", "{cidr4b}"), list("{cidr4b}"),
		list("{cidr4b}", "{cidr6}"),
		list("foo"), list(""), list("172.30.0.1/24"), list("172.030.0.0/24"), list("172.30.0.0/33"), list("172.30.0.0"),
		list("::ffff:172.30.0.0/120"),
		list("FD00:1::/112"), list("fd00:1:0:0::/112"), list("fd00:1::1/112"), list("{cidr4}", "foo"), list("172.30.0.0/30"),
		list("0.0.0.0/0"), list("127.0.0.0/24"), list("224.0.0.0/8"), list("::/0"), list("ff00::/8"))
	for _, v := range variants {
		body := addressRange(v.fields)
		g.add("ServiceCIDR: "+v.name,
			serviceCIDRs.create(body).dry(), serviceCIDRs.create(body), serviceCIDRs.create(body), serviceCIDRs.get(), serviceCIDRs.edit(fields{}),
			serviceCIDRs.delete().dry(), serviceCIDRs.delete(), serviceCIDRs.get())
		for _, way := range ways {
			g.add(fmt.Sprintf("ServiceCIDR: %s, %s", way, v.name),
				serviceCIDRs.create(addressRange()), serviceCIDRs.change(way, v.fields).dry(), serviceCIDRs.change(way,
					v.fields), serviceCIDRs.get(), serviceCIDRs.delete())
			g.add(fmt.Sprintf("ServiceCIDR of two: %s, %s", way, v.name),
				serviceCIDRs.create(addressRange(fields{"/spec/cidrs": list("{cidr4}", "{cidr6}")})), serviceCIDRs.change(way,
					v.fields), serviceCIDRs.delete())
		}
	}
	statuses := []variant{
		{"ready", fields{"/status/conditions": list(condition("Ready", "True", "Fine"))}},
		{"not ready", fields{"/status/conditions": list(condition("Ready", "False", "Terminating"))}},
		{"two", fields{"/status/conditions": list(condition("Ready", "True", "Fine"), condition("Other", "Unknown", "NotSo"))}},
		{"none", fields{"/status/conditions": list()}},
		{"bad type", fields{"/status/conditions": list(condition("a b", "True", "Fine"))}},
		{"bad status", fields{"/status/conditions": list(condition("Ready", "Foo", "Fine"))}},
		{"no reason", fields{"/status/conditions": list(condition("Ready", "True", ""))}},
		{"spec as well", fields{"/spec/cidrs": list("{cidr4b}"), "/status/conditions": list(condition("Ready", "True", "Fine"))}},
		{"metadata as well", fields{"/metadata/labels": object("a", "b"), "/status/conditions": list(condition("Ready", "True", "Fine"))}},
	}
	for _, v := range statuses {
		for _, way := range ways {
			g.add(fmt.Sprintf("ServiceCIDR: %s of the status, %s", way, v.name),
				serviceCIDRs.create(addressRange(v.fields)), serviceCIDRs.change(way, v.fields).on("{name}/status").dry(),
				serviceCIDRs.change(way, v.fields).on("{name}/status"), serviceCIDRs.get().on("{name}/status"),
				serviceCIDRs.edit(fields{"/metadata/labels": object("c", "d")}), serviceCIDRs.delete())
		}
	}
	for _, name := range []string{"a.b", "A", "-a", "a_b", "1", ""} {
		g.add(fmt.Sprintf("ServiceCIDR: name %q", name), serviceCIDRs.create(addressRange(fields{"/metadata/name": name})).dry())
	}
	g.add("ServiceCIDR: of none", serviceCIDRs.put(addressRange()), serviceCIDRs.put(addressRange()).on("{name}/status"),
		serviceCIDRs.merge(fields{}), serviceCIDRs.delete(), serviceCIDRs.get())
	g.add("ServiceCIDR: apply", serviceCIDRs.apply("one", addressRange()).dry(), serviceCIDRs.apply("one", addressRange()),
		serviceCIDRs.apply("two", addressRange(fields{"/spec/cidrs": list("{cidr4b}")})),
		serviceCIDRs.apply("two", addressRange(fields{"/spec/cidrs": list("{cidr4b}")})).with("force=true"), serviceCIDRs.apply("one",
			serviceCIDRs.object()), serviceCIDRs.apply("two", addressRange()), serviceCIDRs.delete())
	g.add("ServiceCIDR: finalizer", serviceCIDRs.create(addressRange(fields{"/metadata/finalizers": list("example.com/keep")})),
		serviceCIDRs.delete(), serviceCIDRs.get(), serviceCIDRs.create(addressRange()),
		serviceCIDRs.merge(fields{"/metadata/finalizers": nil}), serviceCIDRs.get())
	g.add("ServiceCIDR: versions", serviceCIDRs.create(addressRange()),
		serviceCIDRs.put(addressRange(fields{"/metadata/resourceVersion": "1"})), serviceCIDRs.put(addressRange()),
		serviceCIDRs.put(addressRange(fields{"/metadata/uid": "other"})), serviceCIDRs.delete().body(object("kind", "DeleteOptions", "apiVersion",
			"v1", "preconditions", object("uid", "other"))), serviceCIDRs.delete())
	g.add("ServiceCIDR: lists", serviceCIDRs.create(addressRange(fields{"/metadata/labels": object("of", "{name}")})),
		serviceCIDRs.list("labelSelector=of%3D{name}"), serviceCIDRs.list("fieldSelector=metadata.name%3D{name}"),
		serviceCIDRs.list("fieldSelector=spec.cidrs%3Da"), serviceCIDRs.list("labelSelector=of%3D{name}").accept(asTable),
		serviceCIDRs.get().accept(asTable), serviceCIDRs.get().accept(asMetadata),
		serviceCIDRs.deleteCollection("labelSelector=of%3D{name}").dry(), serviceCIDRs.deleteCollection("labelSelector=of%3D{name}"),
		serviceCIDRs.get())
	g.add("ServiceCIDR: of two addresses", serviceCIDRs.create(addressRange(fields{"/spec/cidrs": list("{tinycidr4}")})),
		services.create(services.object(kinds[0].fields, fields{"/spec/clusterIP": "{tiny4}"})))
	// A Service with an address of the range.
	inside := services.object(kinds[0].fields, fields{"/spec/clusterIP": "{inside4}"})
	g.add("ServiceCIDR: in use",
		services.create(inside), serviceCIDRs.create(addressRange()), services.create(inside).soon(), services.get(),
		ipAddresses.get().on("{inside4}"), serviceCIDRs.delete().dry(), serviceCIDRs.delete())
}

// ipAddresses writes reservations, and the claims of Services.
func (g *generator) ipAddresses() {
	parent := object("resource", "reservations", "name", "{name}")
	reservation := func(all ...fields) map[string]any {
		return ipAddresses.object(append([]fields{{"/metadata/name": "{free4}", "/spec/parentRef": parent}}, all...)...)
	}
	at := func(s Step) Step { return s.on("{free4}") }
	variants := append(oneField("/spec/parentRef", nil, object(), object("resource", "a"), object("name", "b"),
		object("resource", "a", "name", "b"),
		object("group", "example.com", "resource", "a", "name", "b", "namespace", "c"), object("group", "A_b", "resource", "a", "name", "b"),
		object("resource", "a/b", "name", "c"),
		object("resource", "a", "name", "b/c"), object("resource", "a", "name", "b", "namespace", "c/d"), object("resource", "a", "name", "..")),
		oneField("/metadata/labels", object("a", "b"), object("a", "b c"))...)
	for _, v := range variants {
		body := reservation(v.fields)
		g.add("IPAddress: "+v.name,
			ipAddresses.create(body).dry(), ipAddresses.create(body), ipAddresses.create(body), at(ipAddresses.get()),
			at(ipAddresses.edit(fields{})), at(ipAddresses.delete()).dry(), at(ipAddresses.delete()), at(ipAddresses.get()))
		for _, way := range ways {
			change := at(ipAddresses.change(way, v.fields.with(fields{"/metadata/name": "{free4}"})))
			g.add(fmt.Sprintf("IPAddress: %s, %s", way, v.name),
				ipAddresses.create(reservation()), change.dry(), change, at(ipAddresses.get()), at(ipAddresses.delete()))
		}
	}
	for _, name := range []string{"{free6}", "192.0.2.1", "2001:db8::5", "2001:DB8::5", "2001:db8:0::5", "192.0.2.01", "::ffff:192.0.2.1",
		"foo", "192.0.2", "192.0.2.0/24", "", "0.0.0.0", "127.0.0.1"} {
		g.add(fmt.Sprintf("IPAddress: name %q", name), ipAddresses.create(reservation(fields{"/metadata/name": name})).dry(),
			ipAddresses.create(reservation(fields{"/metadata/name": name, "/metadata/generateName": "10."})).dry())
	}
	g.add("IPAddress: generateName",
		ipAddresses.create(reservation(fields{"/metadata/name": nil, "/metadata/generateName": "{name}-gen-"})).dry())
	g.add("IPAddress: of none", at(ipAddresses.put(reservation())), at(ipAddresses.merge(fields{})), at(ipAddresses.delete()),
		at(ipAddresses.apply("one", reservation())).dry())
	g.add("IPAddress: apply", at(ipAddresses.apply("one", reservation())),
		at(ipAddresses.apply("two", reservation(fields{"/metadata/labels": object("a", "b")}))),
		at(ipAddresses.apply("one", reservation(fields{"/metadata/labels": object("a", "c")}))),
		at(ipAddresses.apply("one", ipAddresses.object(fields{"/metadata/name": "{free4}"}))), at(ipAddresses.delete()))
	g.add("IPAddress: finalizer", ipAddresses.create(reservation(fields{"/metadata/finalizers": list("example.com/keep")})),
		at(ipAddresses.delete()), ipAddresses.create(reservation()),
		services.create(services.object(kinds[0].fields,
			fields{"/spec/clusterIP": "{free4}"})), at(ipAddresses.merge(fields{"/metadata/finalizers": nil})), at(ipAddresses.get()))
	labels := fields{"/metadata/labels": object("of", "{name}")}
	g.add("IPAddress: lists", ipAddresses.create(reservation(labels)), ipAddresses.list("labelSelector=of%3D{name}"),
		ipAddresses.list("fieldSelector=metadata.name%3D{free4}"), ipAddresses.list("fieldSelector=spec.parentRef%3Da"),
		ipAddresses.list("labelSelector=of%3D{name}").accept(asTable), ipAddresses.list("labelSelector=of%3D{name}").accept(asMetadataList),
		at(ipAddresses.get()).accept(asTable),
		ipAddresses.deleteCollection("labelSelector=of%3D{name}").dry(), ipAddresses.deleteCollection("labelSelector=of%3D{name}"),
		at(ipAddresses.get()))
	// What a Service holds.
	for _, kind := range []variant{
		{"ClusterIP", kinds[0].fields.with(fields{"/spec/clusterIP": "{free4}"})},
		{"two stacks", kinds[2].fields.with(fields{"/spec/ipFamilyPolicy": "RequireDualStack", "/spec/clusterIP": "{free4}",
			"/spec/clusterIPs": list("{free4}", "{free6}")})},
	} {
		held := services.object(kind.fields)
		g.add("IPAddress: of a "+kind.name,
			services.create(held), at(ipAddresses.get()), ipAddresses.create(reservation()),
			at(ipAddresses.merge(fields{"/metadata/labels/more": "b"})), services.delete(), at(ipAddresses.get()))
		g.add("IPAddress: table of a "+kind.name, services.create(held), at(ipAddresses.get()).accept(asTable))
		writes := map[string]Step{
			"delete": at(ipAddresses.delete()), "dry delete": at(ipAddresses.delete()).dry(),
			"deletecollection": ipAddresses.deleteCollection("fieldSelector=metadata.name%3D{free4}"),
			"change":           at(ipAddresses.merge(fields{"/spec/parentRef/name": "other"})),
			"removal":          at(ipAddresses.merge(fields{"/spec": nil})),
		}
		for _, name := range fieldsOf(writes) {
			g.add(fmt.Sprintf("IPAddress: %s of a claim of a %s", name, kind.name), services.create(held), writes[name], services.get(),
				services.delete())
		}
	}
	g.add("IPAddress: a reservation keeps Services away", ipAddresses.create(reservation()),
		services.create(services.object(kinds[0].fields, fields{"/spec/clusterIP": "{free4}"})),
		at(ipAddresses.delete()), services.create(services.object(kinds[0].fields, fields{"/spec/clusterIP": "{free4}"})), services.delete())
}
