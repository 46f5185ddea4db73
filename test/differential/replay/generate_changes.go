//go:build e2e

package replay

import "fmt"

// updates changes every aspect, with each way to write, on the kinds in turn.
// The second apply is a dry run: where the object holds less than what was
// applied, another apply would be a write once another second has begun.
func (g *generator) updates() {
	turn := 0
	for _, aspect := range aspectNames {
		for _, v := range aspects[aspect] {
			if aspect == "families" && g.random.IntN(3) != 0 {
				// stacks has more of these.
				continue
			}
			for _, way := range ways {
				kind := kinds[turn%len(kinds)]
				turn++
				again := services.change(way, v.fields)
				if way == "apply" {
					again = again.dry()
				}
				g.add(fmt.Sprintf("%s of %s, %s", way, kind.name, v.name),
					services.create(services.object(kind.fields)),
					services.change(way, v.fields).dry(),
					services.change(way, v.fields),
					again,
					services.get(),
					services.delete(),
				)
			}
			// A whole object without any field of the old one.
			kind := kinds[turn%len(kinds)]
			g.add(fmt.Sprintf("put of %s, %s", kind.name, v.name),
				services.create(services.object(kind.fields)),
				services.put(services.object(kind.fields.with(v.fields))),
				services.put(services.object(kind.fields)),
				services.delete(),
			)
		}
	}
}

// transitions turns every kind into every other in each way, with and without
// the fields of the first.
func (g *generator) transitions() {
	before := append([]variant{
		{"NodePort with ports of its own",
			kinds[2].fields.with(fields{"/spec/ports": list(port(80, named("a"), nodePort("{port0}")), port(81, named("b"), nodePort("{port1}")))})},
		{"LoadBalancer without node ports", kinds[3].fields.with(fields{"/spec/allocateLoadBalancerNodePorts": false})},
		{"ClusterIP with external IPs", kinds[0].fields.with(fields{"/spec/externalIPs": list("1.2.3.4")})},
		{"two stacks", kinds[0].fields.with(fields{"/spec/ipFamilyPolicy": "PreferDualStack"})},
	}, kinds...)
	for _, from := range before {
		g.add("put from "+from.name+" to an ExternalName with an address",
			services.create(services.object(from.fields)),
			services.put(services.object(fields{"/spec/type": "ExternalName", "/spec/externalName": "a.example.com", "/spec/clusterIP": "{free4}"})),
			services.delete(),
		)
		for _, to := range kinds {
			target := to.fields
			if to.name == "Headless" {
				target = target.with(fields{"/spec/type": "ClusterIP"})
			}
			for _, way := range append([]string{"put"}, ways...) {
				change := services.put(services.object(target))
				if way != "put" {
					change = services.change(way, target)
				}
				g.add(fmt.Sprintf("%s from %s to %s", way, from.name, to.name),
					services.create(services.object(from.fields)),
					change.dry(),
					change,
					services.get(),
					services.edit(fields{}),
					services.put(services.object(from.fields)),
					services.delete(),
				)
			}
			// Only what the other type needs.
			only := fields{"/spec/type": target["/spec/type"]}
			if name := target["/spec/externalName"]; name != nil {
				only["/spec/externalName"] = name
			}
			if to.name == "Headless" {
				only["/spec/clusterIP"] = "None"
			}
			for _, way := range []string{"edit", "merge"} {
				g.add(fmt.Sprintf("%s of the type only, from %s to %s", way, from.name, to.name),
					services.create(services.object(from.fields)),
					services.patch(merge, object("status", object("loadBalancer", object("ingress", list(object("ip", "5.6.7.8")))))).on("{name}/status"),
					services.change(way, only),
					services.get().on("{name}/status"),
					services.change(way, fields{"/spec/type": from.fields["/spec/type"]}),
					services.delete(),
				)
			}
		}
	}
}

// stacks makes every change of policy and families on single-stack and
// dual-stack Services.
func (g *generator) stacks() {
	starts := []variant{
		{"one stack", kinds[0].fields},
		{"IPv6", kinds[0].fields.with(fields{"/spec/ipFamilies": list("IPv6")})},
		{"two stacks", kinds[0].fields.with(fields{"/spec/ipFamilyPolicy": "RequireDualStack"})},
		{"two stacks, IPv6 first", kinds[2].fields.with(fields{"/spec/ipFamilyPolicy": "PreferDualStack",
			"/spec/ipFamilies": list("IPv6", "IPv4")})},
		{"headless", kinds[1].fields},
		{"headless of two stacks", kinds[1].fields.with(fields{"/spec/ipFamilyPolicy": "PreferDualStack"})},
		{"headless without selector", fields{"/spec/clusterIP": "None"}},
	}
	for _, start := range starts {
		for _, v := range aspects["families"] {
			for _, way := range []string{"edit", "merge"} {
				g.add(fmt.Sprintf("%s of stacks, %s to %s", way, start.name, v.name),
					services.create(services.object(start.fields)),
					services.change(way, v.fields).dry(),
					services.change(way, v.fields),
					services.get(),
					services.put(services.object(start.fields)),
					services.delete(),
				)
			}
		}
		named := map[string]fields{
			"second named":      {"/spec/clusterIPs": list("{IP1}", "{free6}")},
			"second taken":      {"/spec/clusterIPs": list("{IP1}", "{taken6}")},
			"second outside":    {"/spec/clusterIPs": list("{IP1}", "{outside6}")},
			"second dropped":    {"/spec/clusterIPs": list("{IP1}")},
			"second IPv4 named": {"/spec/clusterIPs": list("{IPV6-1}", "{free4}")},
			"swapped":           {"/spec/clusterIP": "{IPV6-1}", "/spec/clusterIPs": list("{IPV6-1}", "{IP1}")},
			"first changed":     {"/spec/clusterIP": "{free4}", "/spec/clusterIPs": list("{free4}", "{IPV6-1}")},
			"second changed":    {"/spec/clusterIPs": list("{IP1}", "{free6}")},
			"emptied":           {"/spec/clusterIP": nil, "/spec/clusterIPs": nil},
			"first emptied":     {"/spec/clusterIP": nil},
			"list emptied":      {"/spec/clusterIPs": nil},
		}
		for _, name := range fieldsOf(named) {
			addresses := named[name]
			for _, policy := range policies[:4] {
				for _, families := range []any{"kept", nil, list("IPv4"), list("IPv4", "IPv6")} {
					f := addresses.with(fields{"/spec/ipFamilyPolicy": policy})
					if g.random.IntN(2) == 0 {
						continue
					}
					if families != "kept" {
						f["/spec/ipFamilies"] = families
					}
					g.add(fmt.Sprintf("addresses %s, %s of %s, from %s", name, asJSON(policy), asJSON(families), start.name),
						services.create(services.object(start.fields)),
						services.edit(f),
						services.get(),
						services.delete(),
					)
				}
			}
		}
	}
}

// portChanges changes the ports of Services that have node ports.
func (g *generator) portChanges() {
	a, b := named("a"), named("b")
	changes := map[string][]any{
		"the same":                {port(80, a), port(81, b)},
		"renamed":                 {port(80, named("c")), port(81, b)},
		"names swapped":           {port(80, b), port(81, a)},
		"order swapped":           {port(81, b), port(80, a)},
		"renumbered":              {port(90, a), port(81, b)},
		"another protocol":        {udp(80, a), port(81, b)},
		"one more":                {port(80, a), port(81, b), port(82, named("c"))},
		"one more protocol":       {port(80, a), port(81, b), udp(80, named("c"))},
		"one less":                {port(80, a)},
		"only one, unnamed":       {port(80)},
		"node ports swapped":      {port(80, a, nodePort("{PORT2}")), port(81, b, nodePort("{PORT1}"))},
		"node port named":         {port(80, a, nodePort("{port0}")), port(81, b)},
		"node port taken":         {port(80, a, nodePort("{takenport}")), port(81, b)},
		"node port outside":       {port(80, a, nodePort("{portabove}")), port(81, b)},
		"node port of the other":  {port(80, a, nodePort("{PORT2}")), port(81, b)},
		"one node port twice":     {port(80, a, nodePort("{PORT1}")), port(81, b, nodePort("{PORT1}"))},
		"shared by two protocols": {port(80, a, nodePort("{PORT1}")), udp(81, b, nodePort("{PORT1}"))},
		"renamed and node port":   {port(80, named("c"), nodePort("{PORT1}")), port(81, b, nodePort("{PORT2}"))},
		"none":                    {},
	}
	for _, kind := range []int{2, 3, 5} {
		base := kinds[kind].fields.with(fields{"/spec/ports": list(port(80, a), port(81, b))})
		for _, name := range fieldsOf(changes) {
			f := fields{"/spec/ports": changes[name]}
			for _, way := range ways {
				g.add(fmt.Sprintf("%s of ports of %s, %s", way, kinds[kind].name, name),
					services.create(services.object(base)),
					services.change(way, f),
					services.get(),
					services.edit(fields{}),
					services.delete(),
				)
			}
			g.add(fmt.Sprintf("put of ports of %s, %s", kinds[kind].name, name),
				services.create(services.object(base)),
				services.put(services.object(base.with(f))).dry(),
				services.put(services.object(base.with(f))),
				services.delete(),
			)
		}
		g.add("one port's fields of "+kinds[kind].name,
			services.create(services.object(base)),
			services.patch(jsonPatch, fields{"/spec/ports/0/nodePort": "{port1}"}.jsonPatch()),
			services.patch(jsonPatch, list(object("op", "remove", "path", "/spec/ports/0/nodePort"))),
			services.patch(jsonPatch, list(object("op", "replace", "path", "/spec/ports/1/port", "value", 8081))),
			services.patch(jsonPatch, list(object("op", "test", "path", "/spec/ports/1/port", "value", 1))),
			services.patch(jsonPatch, list(object("op", "remove", "path", "/spec/ports/7"))),
			services.patch(strategic, object("spec", object("ports", list(object("port", 80, "nodePort", 0))))),
			services.patch(strategic, object("spec", object("ports", list(object("port", 80, "$patch", "delete"))))),
			services.delete(),
		)
		g.healthCheckChanges(kinds[kind], base)
	}
}

// healthCheckChanges changes the health check node port of a Service, and the
// fields that decide whether it has one.
func (g *generator) healthCheckChanges(kind variant, base fields) {
	a, b := named("a"), named("b")
	for _, way := range ways {
		for _, v := range append(oneField("/spec/healthCheckNodePort", "{port2}", 0, "{takenport}", "{portabove}", nil),
			variant{"to Local", fields{"/spec/externalTrafficPolicy": "Local"}},
			variant{"to Cluster", fields{"/spec/externalTrafficPolicy": "Cluster"}},
			variant{"to Local with a port", fields{"/spec/externalTrafficPolicy": "Local", "/spec/healthCheckNodePort": "{port2}"}},
			variant{"to Local with a taken port", fields{"/spec/externalTrafficPolicy": "Local", "/spec/healthCheckNodePort": "{takenport}"}},
			variant{"to Local with a port outside", fields{"/spec/externalTrafficPolicy": "Local", "/spec/healthCheckNodePort": "{portabove}"}},
			variant{"to Cluster without a port", fields{"/spec/externalTrafficPolicy": "Cluster", "/spec/healthCheckNodePort": nil}},
			variant{"no node ports", fields{"/spec/allocateLoadBalancerNodePorts": false, "/spec/ports": list(port(80, a), port(81, b))}},
			variant{"node ports again", fields{"/spec/allocateLoadBalancerNodePorts": nil}},
		) {
			again := services.change(way, v.fields)
			if way == "apply" {
				again = again.dry()
			}
			g.add(fmt.Sprintf("%s of health checks of %s, %s", way, kind.name, v.name),
				services.create(services.object(base)),
				services.change(way, v.fields),
				again,
				services.edit(fields{"/spec/externalTrafficPolicy": "Cluster"}),
				services.edit(fields{"/spec/externalTrafficPolicy": "Local"}),
				services.delete(),
			)
		}
	}
}
