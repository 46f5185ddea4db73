//go:build e2e

package replay

import (
	"fmt"
	"math/rand/v2"
)

// smallCorpus returns the sequences for single-stack servers that deny external
// IPs.
func smallCorpus(seed uint64, random int) []Sequence {
	g := &generator{random: rand.New(rand.NewPCG(seed, 1))}
	for _, kind := range kinds {
		for _, aspect := range []string{"clusterIPs", "external IPs", "families", "ports"} {
			for i, v := range aspects[aspect] {
				if aspect == "ports" && i%4 > 0 {
					continue
				}
				g.create(kind.name+", "+v.name, kind.fields.with(v.fields))
			}
		}
	}
	for _, v := range append(aspects["external IPs"], aspects["families"]...) {
		for _, way := range ways {
			kind := kinds[g.random.IntN(len(kinds))]
			g.add(fmt.Sprintf("%s of %s, %s", way, kind.name, v.name),
				services.create(services.object(kind.fields)),
				services.change(way, v.fields).dry(),
				services.change(way, v.fields),
				services.change(way, fields{"/metadata/labels": object("a", "b")}),
				services.put(services.object(kind.fields)),
				services.delete(),
			)
		}
	}
	g.randomServices(random)
	return g.sequences
}

// exhaustion fills the small ranges. Nothing may run beside it.
func exhaustion(addresses, ports int) []Sequence {
	g := &generator{}
	numbered := func(n int, all ...fields) map[string]any {
		return services.object(append(all, fields{"/metadata/name": fmt.Sprintf("{name}-%d", n)})...)
	}
	var steps []Step
	for i := range addresses {
		steps = append(steps, services.create(numbered(i, kinds[0].fields)))
	}
	steps = append(steps,
		services.create(numbered(addresses, kinds[0].fields)).dry(),
		services.create(numbered(addresses, kinds[0].fields)),
		services.create(numbered(addresses, kinds[2].fields)),
		services.create(numbered(addresses, kinds[1].fields)),
		services.delete().on("{name}-0"),
		// Upstream sees a little later that an address is free again.
		services.create(numbered(0, kinds[2].fields)).soon(),
		services.merge(fields{"/spec/type": "ExternalName", "/spec/externalName": "a.example.com"}).on("{name}-1"),
		services.create(numbered(addresses+1, kinds[0].fields)),
		services.merge(fields{"/spec/type": "ClusterIP"}).on("{name}-1"),
		services.get().on("{name}-1"),
	)
	g.add("exhaustion of addresses", steps...)

	of := func(n int) fields {
		var list []any
		for i := range n {
			list = append(list, port(1000+i, named(fmt.Sprintf("p%d", i))))
		}
		return fields{"/spec/ports": list}
	}
	g.add("exhaustion of node ports",
		services.create(numbered(0, kinds[2].fields, of(ports+1))),
		services.create(numbered(0, kinds[2].fields, of(ports-1))),
		services.create(numbered(1, kinds[5].fields, of(1))),
		services.create(numbered(1, kinds[2].fields, of(2))),
		services.create(numbered(1, kinds[0].fields)),
		services.merge(fields{"/spec/type": "NodePort"}).on("{name}-1"),
		services.create(numbered(2, kinds[2].fields)).dry(),
		services.create(numbered(2, kinds[2].fields)),
		services.create(numbered(2, kinds[3].fields)),
		services.create(numbered(2, kinds[0].fields)),
		services.merge(fields{"/spec/type": "NodePort"}).on("{name}-2"),
		services.merge(fields{"/spec/type": "LoadBalancer", "/spec/allocateLoadBalancerNodePorts": false,
			"/spec/externalTrafficPolicy": "Local"}).on("{name}-2"),
	)
	return g.sequences
}
