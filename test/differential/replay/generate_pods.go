//go:build e2e

package replay

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// podCorpus returns the sequences about Pods: those of a Pod without a node, because
// kube-apiserver waits for the kubelet of a Pod that has one.
func podCorpus() []Sequence {
	g := &generator{}
	g.pods()
	g.podUpdates()
	g.podStatuses()
	g.podStreams()
	g.podRequests()
	return g.sequences
}

// container returns a container that is valid unless the fields say otherwise.
func container(all ...fields) map[string]any {
	made := object("name", "c", "image", "registry.example/i:1")
	for _, f := range all {
		f.set(made)
	}
	return made
}

var podBase = fields{"/spec/containers": list(container())}

// inContainer returns the fields of a Pod's only container.
func inContainer(all fields) fields { return fields{"/spec/containers": list(container(all))} }

func podVariants() []variant {
	return slices.Concat(podNameVariants(), podContainerVariants(), podPortVariants(), podProbeVariants(), podVolumeVariants(),
		podSchedulingVariants(), podUncheckedVariants())
}

// podNameVariants are about the Pod as a whole, and its names.
func podNameVariants() []variant {
	long := strings.Repeat("a", 63)
	variants := variantsOf(
		fields{}, fields{"/metadata/name": "a.b"}, fields{"/metadata/name": "A"}, fields{"/metadata/name": "a_b"},
		fields{"/metadata/name": strings.Repeat("a", 254)}, fields{"/metadata/labels": object("a", "b c")},
		fields{"/metadata/labels": object("a/b/c", "d")}, fields{"/metadata/finalizers": list("a b")}, fields{"/metadata/generation": 7},
		fields{"/metadata/annotations": object("kubernetes.io/config.mirror", "x")},
		fields{"/metadata/annotations": object("pod.beta.kubernetes.io/init-containers", "[]", "a", "b")},
		fields{"/spec": nil}, fields{"/spec": object()}, fields{"/spec/containers": nil}, fields{"/spec/containers": list()},
		fields{"/spec/other": "a"}, fields{"/status": object("phase", "Running", "podIP", "192.0.2.1")},
		fields{"/spec/restartPolicy": "Never"}, fields{"/spec/restartPolicy": "Sometimes"}, fields{"/spec/restartPolicy": ""},
		fields{"/spec/hostname": "web"}, fields{"/spec/hostname": "a.b"}, fields{"/spec/hostname": "A"}, fields{"/spec/hostname": long},
		fields{"/spec/hostname": long + "a"}, fields{"/spec/subdomain": "sub"}, fields{"/spec/subdomain": "a.b"}, fields{"/spec/subdomain": "-"},
		fields{"/spec/setHostnameAsFQDN": true}, fields{"/spec/hostnameOverride": "a.b"}, fields{"/spec/hostnameOverride": ""},
		fields{"/spec/hostnameOverride": "A"}, fields{"/spec/hostnameOverride": long + ".a"}, fields{"/spec/hostnameOverride": long + ".ab"},
		fields{"/spec/hostnameOverride": "a", "/spec/setHostnameAsFQDN": true, "/spec/hostNetwork": true},
		fields{"/spec/nodeName": "A"}, fields{"/spec/nodeName": "n", "/spec/schedulingGates": list(object("name", "a"))},
		fields{"/spec/serviceAccountName": "sa"}, fields{"/spec/serviceAccountName": "a_b"}, fields{"/spec/serviceAccount": "old"},
		fields{"/spec/serviceAccount": "old", "/spec/serviceAccountName": "new"}, fields{"/spec/activeDeadlineSeconds": 0},
		fields{"/spec/activeDeadlineSeconds": 1}, fields{"/spec/activeDeadlineSeconds": 1 << 31}, fields{"/spec/activeDeadlineSeconds": -1},
		fields{"/spec/terminationGracePeriodSeconds": -5}, fields{"/spec/terminationGracePeriodSeconds": 0},
		fields{"/spec/enableServiceLinks": false}, fields{"/spec/automountServiceAccountToken": false},
		fields{"/spec/priorityClassName": "A"}, fields{"/spec/priorityClassName": "high"}, fields{"/spec/runtimeClassName": "A"},
		fields{"/spec/preemptionPolicy": "Never"}, fields{"/spec/preemptionPolicy": "Always"}, fields{"/spec/os": object()},
		fields{"/spec/os": object("name", "linux")}, fields{"/spec/os": object("name", "plan9")},
		fields{"/spec/hostUsers": false}, fields{"/spec/hostUsers": false, "/spec/hostNetwork": true, "/spec/hostPID": true,
			"/spec/hostIPC": true},
		fields{"/spec/shareProcessNamespace": true, "/spec/hostPID": true}, fields{"/spec/imagePullSecrets": list(object("name", "a"))},
	)
	for _, cost := range []string{"1", "-1", "0", "+1", "01", "-01", "", "a", "2147483647", "2147483648", "-2147483648"} {
		variants = append(variants, variantsOf(fields{"/metadata/annotations": object("controller.kubernetes.io/pod-deletion-cost", cost)})...)
	}
	for _, policy := range []string{"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None", "Other", ""} {
		variants = append(variants, variantsOf(fields{"/spec/dnsPolicy": policy},
			fields{"/spec/dnsPolicy": policy, "/spec/dnsConfig": object()},
			fields{"/spec/dnsPolicy": policy, "/spec/dnsConfig": object("nameservers", list("192.0.2.1", "a", "2001:DB8::1", "192.0.2.01"))},
		)...)
	}
	return append(variants, variantsOf(
		fields{"/spec/dnsConfig": object("searches", list("a.b", "a.b.", ".", "_a.b", "A", ""))},
		fields{"/spec/dnsConfig": object("searches", slices.Repeat(list("a"), 33))},
		fields{"/spec/dnsConfig": object("searches", slices.Repeat(list(strings.Repeat("a", 63)+".b"), 32))},
		fields{"/spec/dnsConfig": object("options", list(object("name", "ndots", "value", "2"), object("value", "1")))},
		fields{"/spec/hostAliases": list(object("ip", "192.0.2.1", "hostnames", list("a", "B", "c.d")))},
		fields{"/spec/hostAliases": list(object("ip", "a"), object("ip", "2001:DB8::1"))},
	)...)
}

func podContainerVariants() []variant {
	sidecar := fields{"/restartPolicy": "Always"}
	variants := variantsOf(
		fields{"/spec/containers": list(container(), container())}, fields{"/spec/containers": list(container(),
			container(fields{"/name": "d"}))},
		fields{"/spec/initContainers": list(container())}, fields{"/spec/initContainers": list(container(fields{"/name": "i"}))},
		fields{"/spec/initContainers": list(container(fields{"/name": "i"}), container(fields{"/name": "i"}))},
		fields{"/spec/initContainers": list(object(), object())}, fields{"/spec/containers": list(object(), object())},
		fields{"/spec/initContainers": list(container(fields{"/name": "i"}, sidecar))},
		fields{"/spec/ephemeralContainers": list(container(fields{"/name": "e"}))},
		inContainer(fields{"/restartPolicy": "Always"}), inContainer(fields{"/restartPolicy": "Sometimes"}),
		inContainer(fields{"/env": list(object("name", "A", "value", "b"), object("name", "A", "value", "c"),
			object("name", "A", "value", "$(A)d"))}),
		inContainer(fields{"/env": list(object("name", ""), object("name", "a b"), object("name", "a=b"), object("name", "1"))}),
		fields{"/spec/overhead": object("cpu", "1")}, fields{"/spec/overhead": object("cpu", "-1")}, fields{"/spec/overhead": object("pods",
			"1")},
	)
	for _, name := range []string{"", "A", "a.b", "a_b", strings.Repeat("a", 63), strings.Repeat("a", 64)} {
		variants = append(variants, variantsOf(inContainer(fields{"/name": name}))...)
	}
	for _, image := range []string{"", " ", " a", "a ", "web", "web:latest", "registry.example:5000/web",
		"web@sha256:" + strings.Repeat("0", 64)} {
		variants = append(variants, variantsOf(inContainer(fields{"/image": image}))...)
	}
	for _, value := range []string{"", "Always", "Never", "File", "FallbackToLogsOnError", "Other"} {
		variants = append(variants, variantsOf(inContainer(fields{"/imagePullPolicy": value}),
			inContainer(fields{"/terminationMessagePolicy": value}))...)
	}
	for _, resources := range []map[string]any{
		object("limits", object("cpu", "100m")), object("requests", object("cpu", "100m")),
		object("limits", object("cpu", "1"), "requests", object("cpu", "2")), object("limits", object("cpu", "0.1m", "memory", "1.5")),
		object("limits", object("cpu", "1", "memory", "1Gi")), object("limits", object("cpu", "1", "memory", "1Gi"), "requests",
			object("cpu", "0.5")),
		object("limits", object("cpu", "-1")), object("limits", object("other", "1")), object("limits", object("pods", "1")),
		object("limits", object("a b", "1")), object("limits", object("example.com/gpu", "1")), object("limits",
			object("example.com/gpu", "1.5")),
		object("requests", object("example.com/gpu", "1")), object("limits", object("example.com/gpu", "2"), "requests",
			object("example.com/gpu", "1")),
		object("limits", object("requests.example.com/a", "1")), object("limits", object("kubernetes.io/a", "1")),
		object("limits", object("cpu", "a")), object("limits", object("cpu", "0")),
	} {
		variants = append(variants, variantsOf(inContainer(fields{"/resources": resources}),
			fields{"/spec/initContainers": list(container(fields{"/name": "i", "/resources": resources}))})...)
	}
	return variants
}

func podPortVariants() []variant {
	ports := func(ports ...any) fields { return fields{"/ports": ports} }
	var variants []variant
	for _, port := range []map[string]any{
		object("containerPort", 80), object("containerPort", 0), object("containerPort", 65535), object("containerPort", 65536),
		object("containerPort", -1), object("containerPort", "80"), object(), object("containerPort", 80, "name", "web"),
		object("containerPort", 80, "name", "Web"), object("containerPort", 80, "name", "0123456789abcdef"), object("containerPort", 80, "name",
			"80"),
		object("containerPort", 80, "name", "a--b"), object("containerPort", 80, "name", "-a"), object("containerPort", 80, "protocol", "UDP"),
		object("containerPort", 80, "protocol", "SCTP"), object("containerPort", 80, "protocol", "tcp"), object("containerPort", 80, "protocol",
			""),
		object("containerPort", 80, "hostPort", 80), object("containerPort", 80, "hostPort", 8080), object("containerPort", 80, "hostPort",
			65536),
		object("containerPort", 80, "hostPort", -1), object("containerPort", 80, "hostIP", "192.0.2.1"),
		object("containerPort", 80, "hostIP", "a", "hostPort", 80),
	} {
		init := container(ports(port), fields{"/name": "i"})
		variants = append(variants, variantsOf(inContainer(ports(port)), inContainer(ports(port)).with(fields{"/spec/hostNetwork": true}),
			fields{"/spec/initContainers": list(init)}, fields{"/spec/initContainers": list(init), "/spec/hostNetwork": true},
		)...)
	}
	http, dns := object("containerPort", 80, "name", "p", "hostPort", 80), object("containerPort", 53, "name", "p", "protocol", "UDP",
		"hostPort", 80)
	at := object("containerPort", 80, "hostPort", 80, "hostIP", "192.0.2.1")
	for _, two := range [][]any{
		{http, http}, {http, dns}, {http, at}, {at, at}, {object("containerPort", 80), object("containerPort", 80)},
		{object("containerPort", 80), object("containerPort", 80, "protocol", "UDP")}, {object("containerPort", 80), at},
	} {
		variants = append(variants, variantsOf(inContainer(ports(two...)),
			fields{"/spec/containers": list(container(ports(two[0])), container(ports(two[1]), fields{"/name": "d"}))},
			inContainer(ports(two[0])).with(fields{"/spec/initContainers": list(container(ports(two[1]), fields{"/name": "i"}))}),
			inContainer(ports(two[0])).with(fields{"/spec/initContainers": list(container(ports(two[1]),
				fields{"/name": "i", "/restartPolicy": "Always"}))}),
		)...)
	}
	return variants
}

func podProbeVariants() []variant {
	var variants []variant
	tcp := func(all ...fields) map[string]any {
		probe := object("tcpSocket", object("port", 80))
		for _, f := range all {
			f.set(probe)
		}
		return probe
	}
	for _, probe := range []map[string]any{
		tcp(), object(), object("tcpSocket", object("port", 0)), object("tcpSocket", object("port", "web")), object("tcpSocket",
			object("port", "Web")),
		object("httpGet", object("port", 80)), object("httpGet", object("port", 80, "scheme", "FTP", "path", "/a")), object("httpGet", object()),
		object("httpGet", object("port", 70000, "httpHeaders", list(object("name", "a b", "value", "c")))), object("grpc", object("port", 1)),
		object("grpc", object("port", 0, "service", "a")), object("exec", object()), object("exec", object("command", list("a"))),
		tcp(fields{"/grpc": object("port", 1), "/exec": object("command", list("a")), "/httpGet": object("port", 1)}),
		tcp(fields{"/periodSeconds": -1, "/timeoutSeconds": -1, "/initialDelaySeconds": -1, "/failureThreshold": -1, "/successThreshold": -1}),
		tcp(fields{"/successThreshold": 2}), tcp(fields{"/terminationGracePeriodSeconds": 0}), tcp(fields{"/terminationGracePeriodSeconds": 9}),
	} {
		for _, name := range []string{"/readinessProbe", "/livenessProbe", "/startupProbe"} {
			variants = append(variants, variantsOf(inContainer(fields{name: probe}))...)
		}
		variants = append(variants, variantsOf(
			fields{"/spec/initContainers": list(container(fields{"/name": "i", "/readinessProbe": probe}))},
			fields{"/spec/initContainers": list(container(fields{"/name": "i", "/readinessProbe": probe, "/restartPolicy": "Always"}))})...)
	}
	for _, hook := range []map[string]any{
		object(), object("exec", object("command", list("a"))), object("httpGet", object("port", 80)), object("sleep", object("seconds", 0)),
		object("sleep", object("seconds", 30)), object("sleep", object("seconds", 31)), object("sleep", object("seconds", -1)),
	} {
		lifecycle := fields{"/lifecycle": object("preStop", hook, "postStart", hook)}
		variants = append(variants, variantsOf(inContainer(lifecycle),
			fields{"/spec/initContainers": list(container(lifecycle, fields{"/name": "i"}))})...)
	}
	return variants
}

func podVolumeVariants() []variant {
	volumes := fields{"/spec/volumes": list(object("name", "v"), object("name", "w", "emptyDir", object()))}
	var variants []variant
	for _, list := range [][]any{
		{object("name", "v")}, {object("name", "v"), object("name", "v")}, {object()}, {object("name", "A")}, {object("name", "a.b")},
	} {
		variants = append(variants, variantsOf(fields{"/spec/volumes": list},
			fields{"/spec/volumes": list}.with(inContainer(fields{"/volumeMounts": []any{object("name", "v", "mountPath", "/v")}})))...)
	}
	for _, mounts := range [][]any{
		{object("name", "v", "mountPath", "/v")}, {object("name", "nope", "mountPath", "/v")}, {object()}, {object("name", "v")},
		{object("name", "v", "mountPath", "/v"), object("name", "w", "mountPath", "/v")},
		{object("name", "v", "mountPath", "/v", "subPath", "a/b")}, {object("name", "v", "mountPath", "/v", "subPath", "/a/../b")},
		{object("name", "v", "mountPath", "/v", "subPathExpr", "$(A)/..")}, {object("name", "v", "mountPath", "/v", "subPathExpr", "a",
			"subPath", "b")},
	} {
		variants = append(variants, variantsOf(volumes.with(inContainer(fields{"/volumeMounts": mounts})),
			volumes.with(fields{"/spec/initContainers": list(container(fields{"/name": "i", "/volumeMounts": mounts}))}))...)
	}
	return variants
}

func podSchedulingVariants() []variant {
	var variants []variant
	for _, toleration := range []map[string]any{
		object(), object("operator", "Exists"), object("key", "a"), object("key", "a b"), object("key", "a", "operator", "Equal", "value", "b c"),
		object("key", "a", "operator", "Exists", "value", "b"), object("key", "a", "operator", "Gt", "value", "1"), object("key", "a",
			"operator", "Like"),
		object("key", "a", "effect", "Other"), object("key", "a", "effect", "NoSchedule", "tolerationSeconds", 1),
		object("key", "a", "effect", "NoExecute", "tolerationSeconds", 1),
	} {
		variants = append(variants, variantsOf(fields{"/spec/tolerations": list(toleration)})...)
	}
	return append(variants, variantsOf(
		fields{"/spec/nodeSelector": object("a", "b")}, fields{"/spec/nodeSelector": object("a b", "c")},
		fields{"/spec/nodeSelector": object("a", "b c")}, fields{"/spec/schedulingGates": list(object("name", "b/c"))},
		fields{"/spec/schedulingGates": list(object("name", "a"), object("name", "a"))}, fields{"/spec/schedulingGates": list(object("name",
			"a b"))},
		fields{"/spec/readinessGates": list(object("conditionType", "example.com/a"))}, fields{"/spec/readinessGates": list(object())},
		fields{"/spec/readinessGates": list(object("conditionType", "a b"), object("conditionType", "A/b"), object("conditionType", "Ready"))},
	)...)
}

// podUncheckedVariants use fields that are stored without validation, and get defaults.
func podUncheckedVariants() []variant {
	variants := variantsOf(
		fields{"/spec/affinity": object("nodeAffinity", object("requiredDuringSchedulingIgnoredDuringExecution",
			object("nodeSelectorTerms", list(object("matchExpressions", list(object("key", "a", "operator", "Exists")))))))},
		fields{"/spec/securityContext": object("runAsUser", 1)}, inContainer(fields{"/securityContext": object("runAsUser", 1)}),
		fields{"/spec/topologySpreadConstraints": list(object("maxSkew", 1, "topologyKey", "zone", "whenUnsatisfiable", "DoNotSchedule",
			"labelSelector", object("matchLabels", object("a", "b"))))},
		inContainer(fields{"/env": list(object("name", "WHO", "valueFrom", object("fieldRef", object("fieldPath", "metadata.name"))))}),
		inContainer(fields{"/envFrom": list(object("configMapRef", object("name", "a")))}),
	)
	for _, volume := range []map[string]any{
		object("secret", object("secretName", "x")), object("hostPath", object("path", "/x")), object("configMap", object("name", "x")),
		object("emptyDir", object("sizeLimit", "1Gi")), object("downwardAPI",
			object("items", list(object("path", "n", "fieldRef", object("fieldPath", "metadata.name"))))),
		object("projected", object("sources", list(object("configMap", object("name", "x"))))), object("persistentVolumeClaim",
			object("claimName", "x")),
		object("projected", object("sources", list(object("downwardAPI",
			object("items", list(object("path", "n", "fieldRef", object("fieldPath", "metadata.name")))))))),
		object("iscsi", object("targetPortal", "192.0.2.1", "iqn", "iqn.2001-04.com.example:d1", "lun", 0)), object("image",
			object("reference", "a")),
		object("azureDisk", object("diskName", "a", "diskURI", "https://blob/a")),
		object("ephemeral", object("volumeClaimTemplate", object("spec",
			object("accessModes", list("ReadWriteOnce"), "resources", object("requests", object("storage", "1Gi")))))),
	} {
		volume["name"] = "v"
		variants = append(variants, variantsOf(fields{"/spec/volumes": list(volume)})...)
	}
	return variants
}

// pods creates each variant, reads it and writes it back.
func (g *generator) pods() {
	for i, v := range podVariants() {
		body := pods.object(podBase, v.fields)
		g.add(fmt.Sprintf("Pod %d: %s", i, v.name), pods.create(body).dry(), pods.create(body), pods.create(body), pods.get().accept(asTable),
			pods.get(), pods.edit(fields{}), pods.delete().dry(), pods.delete(), pods.get())
		g.add(fmt.Sprintf("Pod %d: put, %s", i, v.name), pods.create(pods.object(podBase)), pods.put(body).dry(), pods.put(body), pods.get())
		if i%5 == 0 {
			g.add(fmt.Sprintf("Pod %d: applied, %s", i, v.name), pods.apply("one", body), pods.get(), pods.apply("one", pods.object(podBase)),
				pods.get())
		}
	}
}

// podUpdates changes a Pod that has a bit of everything.
func (g *generator) podUpdates() {
	base := fields{
		"/spec/containers": list(container(fields{"/ports": list(object("name", "web", "containerPort", 80))}),
			container(fields{"/name": "d"})),
		"/spec/initContainers":        list(container(fields{"/name": "i"})),
		"/spec/tolerations":           list(object("key", "a", "operator", "Exists", "effect", "NoExecute")),
		"/spec/schedulingGates":       list(object("name", "a"), object("name", "b")),
		"/spec/activeDeadlineSeconds": 100,
	}
	for _, c := range variantsOf(
		fields{}, fields{"/metadata/labels": object("a", "b")}, fields{"/spec/containers/0/image": "i:2"}, fields{"/spec/containers/0/image": ""},
		fields{"/spec/containers/0/image": " i"}, fields{"/spec/initContainers/0/image": "i:2"}, fields{"/spec/containers/0/name": "e"},
		fields{"/spec/containers/0/ports/0/containerPort": 81}, fields{"/spec/containers/0/ports/0/name": "W"},
		fields{"/spec/containers/0/ports": nil}, fields{"/spec/containers": list(container())}, fields{"/spec/initContainers": nil},
		fields{"/spec/activeDeadlineSeconds": 99}, fields{"/spec/activeDeadlineSeconds": 101}, fields{"/spec/activeDeadlineSeconds": nil},
		fields{"/spec/activeDeadlineSeconds": 0}, fields{"/spec/activeDeadlineSeconds": -1}, fields{"/spec/tolerations": nil},
		fields{"/spec/tolerations/0/tolerationSeconds": 5}, fields{"/spec/tolerations/0/key": "b"},
		fields{"/spec/tolerations/1": nil}, fields{"/spec/schedulingGates": list(object("name", "b"))}, fields{"/spec/schedulingGates": nil},
		fields{"/spec/schedulingGates": list(object("name", "a"), object("name",
			"c"))}, fields{"/spec/hostname": "h"}, fields{"/spec/hostname": "H"},
		fields{"/spec/hostNetwork": true}, fields{"/spec/restartPolicy": "Never"}, fields{"/spec/dnsPolicy": "Default"},
		fields{"/spec/nodeName": "n"},
		fields{"/spec/readinessGates": list(object("conditionType", "a"))}, fields{"/spec/terminationGracePeriodSeconds": 5},
		fields{"/spec/volumes": list(object("name", "v"))}, fields{"/status/phase": "Running"}, fields{"/metadata/generation": 9},
		fields{"/metadata/annotations": object("kubernetes.io/config.mirror", "x")}, fields{"/spec/serviceAccountName": "sa"},
		fields{"/metadata/annotations": object("controller.kubernetes.io/pod-deletion-cost", "x")},
		fields{"/spec/hostname": "h", "/spec/activeDeadlineSeconds": 101}, fields{"/spec/hostname": "h", "/spec/tolerations": nil},
	) {
		for _, way := range []string{"edit", "json"} {
			g.add(fmt.Sprintf("Pod: %s, %s", way, c.name), pods.create(pods.object(base)), pods.change(way, c.fields).dry(),
				pods.change(way, c.fields), pods.get(), pods.edit(fields{"/metadata/labels": object("c", "d")}), pods.get())
		}
	}
	gate := fields{"/spec/readinessGates": list(object("conditionType", "a"))}
	for _, patch := range []map[string]any{
		object("containers", list(object("name", "c", "image", "i:2"))), object("containers", list(object("name", "new", "image", "i"))),
		object("tolerations", list(object("key", "b", "operator", "Exists"))), object("subdomain", "s"),
	} {
		g.add("Pod: patch "+asJSON(patch), pods.create(pods.object(podBase, gate)), pods.patch(strategic, object("spec", patch)),
			pods.patch(merge, object("spec", patch)), pods.get())
	}
}

// podStatuses writes the status in good ways and bad ones.
func (g *generator) podStatuses() {
	variants := variantsOf(
		fields{}, fields{"/status/phase": "Running"}, fields{"/status/phase": "Other"}, fields{"/status/qosClass": "Guaranteed"},
		fields{"/status/qosClass": nil}, fields{"/status/observedGeneration": 1}, fields{"/status/observedGeneration": -1},
		fields{"/status/nominatedNodeName": "n"}, fields{"/status/nominatedNodeName": "N"}, fields{"/spec/hostname": "h"},
		fields{"/metadata/labels": object("a", "b")}, fields{"/metadata/labels": object("a", "b c")},
		fields{"/metadata/ownerReferences": list(object("apiVersion", "v1", "kind", "Service", "name", "a", "uid", "u"))},
		fields{"/metadata/annotations": object("kubernetes.io/config.mirror", "x")},
		fields{"/status/conditions": list(object("type", "Ready", "status", "True"))},
		fields{"/status/conditions": list(object("type", "Ready", "status", "True", "observedGeneration", 1),
			object("type", "example.com/gate", "status", "False"))},
		fields{"/status/conditions": list(object("type", "a b", "status", "True"), object("status", "True"),
			object("type", "Initialized", "observedGeneration", -1))},
		fields{"/status/hostIP": "192.0.2.9"}, fields{"/status/hostIP": "192.0.2.9", "/status/hostIPs": list(object("ip", "192.0.2.9"))},
		fields{"/status/hostIP": "192.0.2.9", "/status/hostIPs": list(object("ip", "192.0.2.8"))},
		fields{"/status/hostIP": "a", "/status/hostIPs": list(object("ip", "a"), object("ip", "b"))},
		fields{"/status/hostIP": "192.0.2.9", "/status/hostIPs": list(object("ip", "192.0.2.9"), object("ip", "2001:db8::9"))},
		fields{"/status/hostIP": "192.0.2.9", "/status/hostIPs": list(object("ip", "192.0.2.9"), object("ip", "192.0.2.8"))},
		fields{"/status/containerStatuses": list(object("name", "c", "image", "i", "imageID", "x", "ready", true, "restartCount", 1))},
		fields{"/status/other": "a"},
	)
	for _, ips := range [][]string{
		{"192.0.2.1"}, {"192.0.2.1", "2001:db8::1"}, {"2001:db8::1", "192.0.2.1"}, {"192.0.2.1", "192.0.2.2"}, {"192.0.2.1", "2001:db8::1",
			"192.0.2.2"},
		{"a"}, {"192.0.2.1", "a"}, {""}, {"2001:DB8::1"}, {"192.0.2.01"}, {"::ffff:192.0.2.1"}, {"192.0.2.1/24"},
	} {
		var all []any
		for _, ip := range ips {
			all = append(all, object("ip", ip))
		}
		variants = append(variants, variantsOf(fields{"/status/podIPs": all}, fields{"/status/podIP": ips[0], "/status/podIPs": all},
			fields{"/status/podIP": ips[0]}, fields{"/status/podIP": "192.0.2.7", "/status/podIPs": all})...)
	}
	for _, v := range variants {
		status := pods.edit(v.fields).on("{name}/status")
		g.add("Pod status: "+v.name, pods.create(pods.object(podBase)), status.dry(), status, pods.get(), pods.get().accept(asTable),
			pods.edit(fields{"/status": nil, "/metadata/labels": object("x",
				"y")}), pods.edit(fields{"/status/message": "m"}).on("{name}/status"), pods.get())
		g.add("Pod status: merge, "+v.name, pods.create(pods.object(podBase)),
			pods.patch(merge, v.fields.mergePatch()).on("{name}/status"), pods.patch(merge,
				object("status", object("podIPs", nil))).on("{name}/status"), pods.get())
	}
	g.add("Pod status: of no Pod", pods.put(pods.object(podBase)).on("{name}/status"), pods.get().on("{name}/status"))
	g.add("Pod status: applied", pods.create(pods.object(podBase)),
		pods.apply("kubelet", pods.object(fields{"/status/podIP": "192.0.2.1",
			"/status/podIPs": list(object("ip", "192.0.2.1"))})).on("{name}/status"), pods.get())
}

// podStreams asks for the logs of Pods, and for connections to them.
func (g *generator) podStreams() {
	for name, base := range map[string]fields{
		"one": podBase,
		"two": {"/spec/containers": list(container(), container(fields{"/name": "d"})),
			"/spec/initContainers": list(container(fields{"/name": "i"}))},
	} {
		for _, subresource := range []string{"log", "exec", "attach", "portforward"} {
			path := pods.named("{name}/" + subresource)
			steps := []Step{{Method: http.MethodGet, Path: path}, pods.create(pods.object(base))}
			for _, query := range []string{
				"", "container=c", "container=i", "container=x", "command=a&command=b", "stdin=true&tty=1", "stdin=x", "ports=80", "ports=a",
				"follow=true",
				"previous=true", "tailLines=1", "tailLines=-1", "tailLines=a", "limitBytes=0", "sinceSeconds=0", "sinceSeconds=1", "sinceTime=a",
				"sinceTime=2020-01-02T03:04:05Z", "sinceSeconds=1&sinceTime=2020-01-02T03:04:05Z", "stream=Stdout", "timestamps=true", "other=a",
			} {
				steps = append(steps, Step{Method: http.MethodGet, Path: path, Query: query}, Step{Method: http.MethodPost, Path: path, Query: query})
			}
			for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete} {
				steps = append(steps, Step{Method: method, Path: path, ContentType: merge, Body: object()})
			}
			steps = append(steps, Step{Method: http.MethodGet, Path: path, Accept: "text/plain"},
				Step{Method: http.MethodGet, Path: path, Accept: asTable},
				Step{Method: http.MethodGet, Path: path, Accept: "application/yaml"}, Step{Method: http.MethodGet, Path: path + "/more"})
			g.add(fmt.Sprintf("Pod: %s of %s", subresource, name), steps...)
		}
	}
}

// podRequests lists Pods, and sends requests that apply to all kinds.
func (g *generator) podRequests() {
	labels := fields{"/metadata/labels": object("of", "{name}")}
	g.add("Pod: versions", pods.put(pods.object(podBase)), pods.create(pods.object(podBase)),
		pods.put(pods.object(podBase, fields{"/metadata/resourceVersion": "1"})), pods.put(pods.object(podBase, labels)),
		pods.put(pods.object(podBase, fields{"/metadata/uid": "other"})), pods.delete(), pods.delete())
	g.add("Pod: finalizer", pods.create(pods.object(podBase, fields{"/metadata/finalizers": list("example.com/keep")})), pods.delete(),
		pods.create(pods.object(podBase)), pods.merge(fields{"/metadata/finalizers": nil}), pods.get())
	g.add("Pod: lists", pods.create(pods.object(podBase, labels)), pods.list("labelSelector=of%3D{name}"),
		pods.list("fieldSelector=metadata.name%3D{name},spec.restartPolicy%3DAlways,status.phase%3DPending"),
		pods.list("fieldSelector=spec.image%3Da"),
		pods.list("labelSelector=of%3D{name}").accept(asTable), pods.get().accept(asMetadata), pods.get().accept("application/yaml"),
		pods.deleteCollection("labelSelector=of%3D{name}"), pods.get())
	for _, validation := range []string{"Strict", "Warn", "Ignore"} {
		g.add("Pod: fields, "+validation, pods.create(pods.object(podBase, fields{"/spec/other": "a"})).with("fieldValidation="+validation))
	}
}
