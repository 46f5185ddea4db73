//go:build e2e

package replay

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// configMapCorpus returns the sequences about ConfigMaps.
func configMapCorpus() []Sequence {
	g := &generator{}
	g.configMaps()
	g.configMapChanges()
	g.configMapRequests()
	g.configMapSizes()
	return g.sequences
}

var configMapBase = fields{"/data": object("a", "one"), "/binaryData": data("b", "two")}

func configMapVariants() []variant {
	var variants []variant
	for _, key := range []string{"a", "b", "a.b", "A_b-c", ".a", "..", ".", "..a", "", "a b", "a/b", "ä", strings.Repeat("k", 253),
		strings.Repeat("k", 254)} {
		variants = append(variants, variantsOf(fields{"/data": object(key, "x")}, fields{"/binaryData": data(key, "x")})...)
	}
	return append(variants, variantsOf(
		fields{"/data": nil}, fields{"/data": object()}, fields{"/data": object("a", "")}, fields{"/data": object("a", nil)},
		fields{"/data": object("a", 1)}, fields{"/data": object("a", object("b", "c"))}, fields{"/data": list()}, fields{"/data": "x"},
		fields{"/data": object("a", "\u00e4\n")}, fields{"/data": nil, "/binaryData": nil},
		fields{"/binaryData": nil}, fields{"/binaryData": object()}, fields{"/binaryData": object("b", "not base64!")},
		fields{"/binaryData": object("b", "eA")}, fields{"/binaryData": object("b", nil)}, fields{"/binaryData": data("c", "\x00\xff")},
		fields{"/data": object("a", "x"), "/binaryData": data("a", "x")}, // upstream reports several in random order
		fields{"/immutable": true}, fields{"/immutable": false}, fields{"/immutable": nil}, fields{"/immutable": "true"},
		fields{"/immutable": true, "/data": object("a", "other")},
		fields{"/other": "a"}, fields{"/spec": object()}, fields{"/metadata/labels": object("a", "b c")},
		fields{"/metadata/generation": 7}, fields{"/metadata/finalizers": list("a b")},
	)...)
}

// configMaps writes each variant in one of the ways, and applies it.
func (g *generator) configMaps() {
	for i, v := range configMapVariants() {
		body := configMaps.object(configMapBase, v.fields)
		g.add("ConfigMap: "+v.name, configMaps.create(body).dry(), configMaps.create(body), configMaps.create(body),
			configMaps.get().accept(asTable), configMaps.get(), configMaps.edit(fields{}), configMaps.put(configMaps.object(configMapBase)),
			configMaps.delete().dry(), configMaps.delete(), configMaps.get())
		way := ways[i%len(ways)]
		g.add(fmt.Sprintf("ConfigMap: %s, %s", way, v.name), configMaps.create(configMaps.object(configMapBase)),
			configMaps.change(way, v.fields).dry(), configMaps.change(way, v.fields), configMaps.get(), configMaps.delete())
		g.add("ConfigMap: applied, "+v.name, configMaps.apply("one", body), configMaps.get(),
			configMaps.apply("one", configMaps.object(configMapBase)), configMaps.apply("one", configMaps.object()), configMaps.get())
	}
	for _, name := range []string{"a.b", "1", "A", "-a", "a_b", strings.Repeat("a", 253), strings.Repeat("a", 254), ""} {
		g.add(fmt.Sprintf("ConfigMap: name %q", name), configMaps.create(configMaps.object(configMapBase, fields{"/metadata/name": name})).dry())
	}
}

// configMapChanges changes ConfigMaps that are immutable.
func (g *generator) configMapChanges() {
	bases := map[string]fields{
		"immutable":    configMapBase.with(fields{"/immutable": true}),
		"without data": {"/immutable": true},
	}
	changes := variantsOf(
		fields{"/immutable": nil}, fields{"/immutable": false}, fields{"/immutable": true}, fields{"/data": object("a", "other")},
		fields{"/data": object("a", "one", "c", "x")}, fields{"/data": nil}, fields{"/data": object()}, fields{"/binaryData": nil},
		fields{"/binaryData": object()}, fields{"/binaryData": data("b", "other")}, fields{"/data": object("b", "x")},
		fields{"/immutable": false, "/data": nil, "/binaryData": nil}, fields{"/metadata/labels": object("a", "b")},
	)
	for name, base := range bases {
		for _, c := range changes {
			for _, way := range ways {
				g.add(fmt.Sprintf("ConfigMap %s: %s, %s", name, way, c.name), configMaps.create(configMaps.object(base)),
					configMaps.change(way, c.fields).dry(), configMaps.change(way, c.fields), configMaps.get(), configMaps.delete())
			}
			g.add(fmt.Sprintf("ConfigMap %s: put, %s", name, c.name), configMaps.create(configMaps.object(base)),
				configMaps.put(configMaps.object(base, c.fields)), configMaps.get())
		}
	}
}

// configMapRequests lists ConfigMaps, and sends requests that apply to all kinds.
func (g *generator) configMapRequests() {
	body := func(all ...fields) map[string]any {
		return configMaps.object(append([]fields{configMapBase}, all...)...)
	}
	labels := fields{"/metadata/labels": object("of", "{name}")}
	// The record of a leader election of old clients.
	record := func(holder string) fields {
		return fields{"/metadata/annotations": object("control-plane.alpha.kubernetes.io/leader", `{"holderIdentity":"`+holder+`"}`)}
	}
	g.add("ConfigMap: versions", configMaps.put(body()), configMaps.apply("one", body()),
		configMaps.put(body(fields{"/metadata/resourceVersion": "1"})), configMaps.put(body(fields{"/metadata/resourceVersion": "{RV1}"})),
		configMaps.put(body(labels)), configMaps.put(body(fields{"/metadata/uid": "other"})), configMaps.merge(fields{"/metadata/name": "other"}),
		configMaps.delete(), configMaps.delete())
	g.add("ConfigMap: election", configMaps.create(body(record("one"))), configMaps.edit(record("two")),
		configMaps.put(body(record("three"), fields{"/metadata/resourceVersion": "{RV1}"})), configMaps.get())
	g.add("ConfigMap: managers", configMaps.apply("one", body()),
		configMaps.apply("two", configMaps.object(fields{"/data": object("a", "y")})),
		configMaps.apply("two", configMaps.object(fields{"/data": object("a", "y")})).with("force=true"),
		configMaps.apply("one", configMaps.object()), configMaps.get())
	g.add("ConfigMap: finalizer", configMaps.create(body(fields{"/metadata/finalizers": list("example.com/keep")})), configMaps.delete(),
		configMaps.create(body()), configMaps.merge(fields{"/metadata/finalizers": nil}), configMaps.get())
	g.add("ConfigMap: lists", configMaps.create(body(labels)), configMaps.list("labelSelector=of%3D{name}"),
		configMaps.list("fieldSelector=metadata.namespace%3D{ns},metadata.name%3D{name}"), configMaps.list("fieldSelector=data%3Da"),
		configMaps.list("labelSelector=of%3D{name}").accept(asTable), configMaps.list("labelSelector=of%3D{name}").accept(asMetadataList),
		configMaps.get().accept(asMetadata), configMaps.get().accept("application/yaml"), configMaps.get().on("{name}/status"),
		configMaps.deleteCollection("labelSelector=of%3D{name}").dry(), configMaps.deleteCollection("labelSelector=of%3D{name}"),
		configMaps.get())
	for _, validation := range []string{"Strict", "Warn", "Ignore"} {
		g.add("ConfigMap: fields, "+validation, configMaps.create(body(fields{"/other": "a"})).with("fieldValidation="+validation),
			configMaps.create(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{name}"},"data":{"a":"x","a":"y"}}`).with("fieldValidation="+validation))
	}
}

// configMapSizes writes ConfigMaps around the limits of size.
func (g *generator) configMapSizes() {
	for _, size := range []int{corev1.MaxSecretSize, corev1.MaxSecretSize + 1} {
		large := fields{"/data": object("a", strings.Repeat("x", size/2)), "/binaryData": data("b", strings.Repeat("y", size-size/2))}
		g.add(fmt.Sprintf("ConfigMap: %d bytes", size), configMaps.create(configMaps.object(large)), configMaps.get().accept(asTable),
			configMaps.create(configMaps.object(configMapBase)), configMaps.put(configMaps.object(large)),
			configMaps.merge(fields{"/data": object("c", "more")}), configMaps.get().accept(asTable))
	}
}
