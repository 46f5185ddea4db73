//go:build e2e

package replay

import (
	"fmt"
	"strings"
)

// kinds are the Services that everything else is tried on.
var kinds = []variant{
	{"ClusterIP", fields{"/spec/type": "ClusterIP", "/spec/ports": onePort, "/spec/selector": selector}},
	{"Headless", fields{"/spec/clusterIP": "None", "/spec/ports": onePort, "/spec/selector": selector}},
	{"NodePort", fields{"/spec/type": "NodePort", "/spec/ports": onePort, "/spec/selector": selector}},
	{"LoadBalancer", fields{"/spec/type": "LoadBalancer", "/spec/ports": onePort, "/spec/selector": selector}},
	{"ExternalName", fields{"/spec/type": "ExternalName", "/spec/externalName": "a.example.com"}},
	{"LocalLoadBalancer", fields{
		"/spec/type": "LoadBalancer", "/spec/ports": twoPorts, "/spec/selector": selector,
		"/spec/externalTrafficPolicy": "Local", "/spec/loadBalancerClass": "example.com/lb",
	}},
}

var (
	onePort  = list(port(80))
	twoPorts = list(port(80, fields{"/name": "http"}), port(443, fields{"/name": "https"}))
	selector = object("app", "toad")
)

// ofPort returns Services with one port, which has these fields.
func ofPort(values ...any) []variant {
	var variants []variant
	for i := 0; i < len(values); i += 2 {
		key, value := values[i].(string), values[i+1]
		variants = append(variants, variant{
			fmt.Sprintf("port %s=%s", key, asJSON(value)),
			fields{"/spec/ports": list(port(80, fields{"/" + key: value}))},
		})
	}
	return variants
}

// ofPorts returns a Service with these ports.
func ofPorts(name string, ports ...any) variant {
	return variant{"ports " + name, fields{"/spec/ports": ports}}
}

func udp(number any, more ...fields) map[string]any {
	return port(number, append([]fields{{"/protocol": "UDP"}}, more...)...)
}

func named(name string) fields { return fields{"/name": name} }

func nodePort(number any) fields { return fields{"/nodePort": number} }

// aspects are values of all fields of a Service, valid and invalid.
var aspects = map[string][]variant{
	"ports": append(append(ofPort(
		"port", 0, "port", -1, "port", 65535, "port", 65536, "port", "80", "port", 1.5,
		"name", "http", "name", "Http", "name", "a.b", "name", "-a", "name", strings.Repeat("a", 63), "name", strings.Repeat("a", 64),
		"protocol", "TCP", "protocol", "UDP", "protocol", "SCTP", "protocol", "tcp", "protocol", "ICMP", "protocol", "",
		"targetPort", 8080, "targetPort", 0, "targetPort", -1, "targetPort", 65536, "targetPort", "http", "targetPort", "HTTP",
		"targetPort", "80", "targetPort", "a--b", "targetPort", "-a", "targetPort", "a-", "targetPort", strings.Repeat("a", 15),
		"targetPort", strings.Repeat("a", 16), "targetPort", "",
		"appProtocol", "http", "appProtocol", "kubernetes.io/h2c", "appProtocol", "a b", "appProtocol", "", "appProtocol", "a/b/c",
	),
		ofPort(
			"nodePort", "{port0}", "nodePort", "{takenport}", "nodePort", "{portabove}", "nodePort", 80, "nodePort", -1,
			"nodePort", 70000, "nodePort", "{takenhealth}",
		)...),
		variant{"no ports", fields{"/spec/ports": nil}},
		variant{"empty ports", fields{"/spec/ports": list()}},
		ofPorts("two", twoPorts...),
		ofPorts("unnamed", port(80), port(81)),
		ofPorts("one named of two", port(80, named("a")), port(81)),
		ofPorts("same name", port(80, named("a")), port(81, named("a"))),
		ofPorts("same port", port(80, named("a")), port(80, named("b"))),
		ofPorts("same port, two protocols", port(53, named("a")), udp(53, named("b"))),
		ofPorts("same port, two protocols, unnamed", port(53), udp(53)),
		ofPorts("same port, one node port", port(53, named("a"), nodePort("{port0}")), udp(53, named("b"))),
		ofPorts("same port, same node port", port(53, named("a"), nodePort("{port0}")), udp(53, named("b"), nodePort("{port0}"))),
		ofPorts("same port, two node ports", port(53, named("a"), nodePort("{port0}")), udp(53, named("b"), nodePort("{port1}"))),
		ofPorts("two ports, same node port, two protocols", port(53, named("a"), nodePort("{port0}")), udp(54, named("b"), nodePort("{port0}"))),
		ofPorts("two ports, same node port", port(53, named("a"), nodePort("{port0}")), port(54, named("b"), nodePort("{port0}"))),
		ofPorts("one free and one taken", port(53, named("a"), nodePort("{port0}")), port(54, named("b"), nodePort("{takenport}"))),
		ofPorts("one taken and one out of range", port(53, named("a"), nodePort("{takenport}")), port(54, named("b"), nodePort("{portabove}"))),
		ofPorts("both taken", port(53, named("a"), nodePort("{takenport}")), port(54, named("b"), nodePort("{takenhealth}"))),
		ofPorts("free but invalid", port(0, named("a"), nodePort("{port0}")), port(54, named("b"))),
		ofPorts("taken and invalid", port(0, nodePort("{takenport}"))),
		ofPorts("taken by another protocol", udp(53, nodePort("{takenport}"))),
		ofPorts("three, some node ports", port(1, named("a"), nodePort("{port0}")), port(2, named("b")),
			port(3, named("c"), nodePort("{port1}"))),
	),
	"clusterIPs": append(append(append(
		oneField("/spec/clusterIP", "", "None", "none", "{free4}", "{taken4}", "{reserved4}", "{network4}", "{outside4}", "{free6}", "{taken6}",
			"{network6}", "{outside6}", "foo", "10.096.0.6", "::ffff:10.96.0.6", "127.0.0.1", "0.0.0.0", "fe80::1", " {free4}"),
		oneField("/spec/clusterIPs", list(), list("{free4}"), list(""))...),
		addressLists(
			list("{free4}"), list("{free6}"), list("{free4}", "{free6}"), list("{free6}", "{free4}"), list("{free4}", "{free4b}"),
			list("{free6}", "{free6b}"), list("{free4}", "{taken6}"), list("{taken4}", "{free6}"), list("{taken4}", "{taken6}"),
			list("{free4}", "{free6}", "{free4b}"), list("None", "{free4}"), list("{free4}", "None"), list("None", "None"),
			list("{free4}", ""), list("", "{free6}"), list("{free4}", "foo"), list("foo", "bar"), list("{free4}", "{outside6}"),
			list("{outside4}", "{free6}"), list("{free4}", "{network6}"),
		)...),
		variant{"clusterIP and another one", fields{"/spec/clusterIP": "{free4}", "/spec/clusterIPs": list("{free4b}")}},
		variant{"clusterIP and None", fields{"/spec/clusterIP": "{free4}", "/spec/clusterIPs": list("None")}},
	),
	"families": families(),
	"affinity": append(append(append(
		oneField("/spec/sessionAffinity", "None", "ClientIP", "clientIP", ""),
		oneField("/spec/sessionAffinityConfig", object("clientIP", object("timeoutSeconds", 10)))...),
		affinities(
			object(), object("clientIP", object()), object("clientIP", object("timeoutSeconds", 0)),
			object("clientIP", object("timeoutSeconds", -1)),
			object("clientIP", object("timeoutSeconds", 1)), object("clientIP", object("timeoutSeconds", 86400)),
			object("clientIP", object("timeoutSeconds", 86401)),
		)...),
		variant{"affinity None with a timeout",
			fields{"/spec/sessionAffinity": "None", "/spec/sessionAffinityConfig": object("clientIP", object("timeoutSeconds", 10))}},
	),
	"external traffic": oneField("/spec/externalTrafficPolicy", "Cluster", "Local", "local", ""),
	"internal traffic": oneField("/spec/internalTrafficPolicy", "Cluster", "Local", "local", ""),
	"distribution":     oneField("/spec/trafficDistribution", "PreferClose", "PreferSameZone", "PreferSameNode", "preferClose", ""),
	"external IPs": oneField("/spec/externalIPs", list(), list("1.2.3.4"), list("2001:db8::1"), list("1.2.3.4", "1.2.3.5"),
		list("2001:DB8::1"),
		list("foo"), list(""), list("0.0.0.0"), list("127.0.0.1"), list("::1"), list("169.254.1.1"), list("fe80::1"), list("224.0.0.1"),
		list("ff02::1"),
		list("239.1.1.1"), list("01.2.3.4"), list("::ffff:1.2.3.4"), list("1.2.3.4", "foo"), list("1.2.3.4", "1.2.3.4")),
	"load balancer class": oneField("/spec/loadBalancerClass", "a", "example.com/lb", "a b", "", "a/b/c"),
	"load balancer IP":    oneField("/spec/loadBalancerIP", "1.2.3.4", "2001:db8::1", "2001:DB8::1", "01.2.3.4", "garbage", ""),
	"source ranges": append(
		oneField("/spec/loadBalancerSourceRanges", list(), list("10.0.0.0/8"), list(" 10.0.0.0/8 "), list("10.0.0.0/8", "2001:db8::/32"),
			list("foo"), list("10.0.0.1/8"),
			list("010.0.0.0/8"), list("10.0.0.0/33"), list("::ffff:10.0.0.0/104"), list("2001:DB8::/32"), list("10.0.0.0/8", "foo"), list(""),
			list("10.0.0.1")),
		oneField("/metadata/annotations/service.beta.kubernetes.io~1load-balancer-source-ranges", "", "10.0.0.0/8", "10.0.0.0/8, 1.2.3.0/24",
			"10.0.0.0/8,foo", "10.0.0.1/8", " ")...),
	"allocated node ports": oneField("/spec/allocateLoadBalancerNodePorts", true, false),
	"health check":         oneField("/spec/healthCheckNodePort", 0, "{port2}", "{takenport}", "{takenhealth}", "{portabove}", -1, 80),
	"selector": oneField("/spec/selector", nil, object(), object("a", "b"), object("a/b", "c"), object("a b", "c"), object("-a", "c"),
		object("a", "b c"),
		object("a", ""), object("a", strings.Repeat("a", 64)), object("", "a")),
	"external name": oneField("/spec/externalName", "", "b.example.com", "b.example.com.", "B.example.com", "a_b", ".", "1.2.3.4", "a..b",
		strings.Repeat("a.", 126)+"a", strings.Repeat("a", 64)),
	"type":      oneField("/spec/type", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "clusterIP", "Nodeport", ""),
	"not ready": oneField("/spec/publishNotReadyAddresses", true, false),
	"annotations": append(
		oneField("/metadata/annotations", object("a", "b"), object("a b", "c"), object("A/b/c", "d"),
			object("service.kubernetes.io/topology-mode", "auto"), object("service.kubernetes.io/topology-aware-hints", "auto"),
			object("service.kubernetes.io/topology-mode", "auto", "service.kubernetes.io/topology-aware-hints", "auto"),
			object("service.kubernetes.io/topology-mode", "auto", "service.kubernetes.io/topology-aware-hints", "disabled")),
		oneField("/metadata/labels", object("a", "b"), object("a", "b c"), object("a b", "c"), object("a", strings.Repeat("x", 64)))...),
}

// aspectNames are sorted.
var aspectNames = fieldsOf(aspects)

func addressLists(lists ...[]any) []variant {
	var variants []variant
	for _, addresses := range lists {
		variants = append(variants, variant{"clusterIPs " + asJSON(addresses),
			fields{"/spec/clusterIP": addresses[0], "/spec/clusterIPs": addresses}})
	}
	return variants
}

func affinities(configs ...map[string]any) []variant {
	var variants []variant
	for _, config := range configs {
		variants = append(variants, variant{"ClientIP " + asJSON(config),
			fields{"/spec/sessionAffinity": "ClientIP", "/spec/sessionAffinityConfig": config}})
	}
	return variants
}

var (
	policies    = []any{nil, "SingleStack", "PreferDualStack", "RequireDualStack", "DualStack"}
	familyLists = []any{nil, list(), list("IPv4"), list("IPv6"), list("IPv4", "IPv6"), list("IPv6", "IPv4"), list("IPv4", "IPv4"),
		list("IPv5"), list("IPv4", "IPv6", "IPv4")}
)

// families is the product of policies and lists of families.
func families() []variant {
	var variants []variant
	for _, policy := range policies {
		for _, families := range familyLists {
			variants = append(variants, variant{
				fmt.Sprintf("%s of %s", asJSON(policy), asJSON(families)),
				fields{"/spec/ipFamilyPolicy": policy, "/spec/ipFamilies": families},
			})
		}
	}
	return variants
}

// creates tries every aspect on every kind, and every pair of families and
// addresses.
func (g *generator) creates() {
	for i, kind := range kinds {
		for _, aspect := range aspectNames {
			for _, v := range aspects[aspect] {
				if aspect == "families" && i > 2 && g.random.IntN(3) != 0 {
					continue
				}
				g.create(kind.name+", "+v.name, kind.fields.with(v.fields))
			}
		}
	}
	for _, kind := range kinds[:3] {
		for _, families := range aspects["families"] {
			for _, addresses := range aspects["clusterIPs"] {
				if g.random.IntN(12) == 0 {
					g.create(kind.name+", "+families.name+", "+addresses.name, kind.fields.with(families.fields, addresses.fields))
				}
			}
		}
	}
}

// create returns the steps of a Service's life.
func (g *generator) create(name string, f fields) {
	service := services.object(f)
	g.add("create "+name,
		services.create(service).dry(),
		services.create(service),
		services.edit(fields{}),
		services.create(service),
		services.delete(),
	)
}

// randomServices puts Services together at random, and changes them.
func (g *generator) randomServices(n int) {
	for i := range n {
		kind := kinds[g.random.IntN(len(kinds))]
		some := func() (string, fields) {
			var names []string
			all := fields{}
			for _, aspect := range aspectNames {
				if v := g.pick(aspects[aspect]); g.random.IntN(3) == 0 && v.name != "" {
					names = append(names, v.name)
					all = all.with(v.fields)
				}
			}
			return strings.Join(names, ", "), all
		}
		name, f := some()
		_, change := some()
		way := ways[g.random.IntN(len(ways))]
		g.add(fmt.Sprintf("random %d, %s, %s", i, kind.name, name),
			services.create(services.object(kind.fields.with(f))),
			services.create(services.object(kind.fields)),
			services.change(way, change),
			services.get(),
			services.put(services.object(kind.fields.with(change))),
			services.delete(),
		)
	}
}
