//go:build e2e

package replay

import (
	"encoding/base64"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
)

// secretCorpus returns the sequences about Secrets.
func secretCorpus() ([]Sequence, error) {
	certificate, key, err := cert.GenerateSelfSignedCertKey("a.example.com", nil, nil)
	if err != nil {
		return nil, err
	}
	pair := data("tls.crt", string(certificate), "tls.key", string(key))
	g := &generator{}
	g.secrets(append(secretVariants(), typedVariants(pair)...))
	g.secretChanges(pair)
	g.secretRequests()
	g.secretSizes()
	return g.sequences, nil
}

// data returns values in base64, by key.
func data(pairs ...string) map[string]any {
	data := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		data[pairs[i]] = base64.StdEncoding.EncodeToString([]byte(pairs[i+1]))
	}
	return data
}

func variantsOf(all ...fields) []variant {
	var variants []variant
	for _, f := range all {
		variants = append(variants, variant{asJSON(f), f})
	}
	return variants
}

var secretBase = fields{"/data": data("a", "one", "b", "two")}

// secretVariants fill in a Secret of any type.
func secretVariants() []variant {
	var variants []variant
	for _, key := range []string{"a", "a.b", "A_b-c", ".a", "..", ".", "..a", "", "a b", "a/b", "\u00e4", strings.Repeat("k", 253),
		strings.Repeat("k", 254)} {
		variants = append(variants, variantsOf(fields{"/data": data(key, "x")}, fields{"/stringData": object(key, "x")})...)
	}
	return append(variants, variantsOf(
		fields{"/data": nil}, fields{"/data": object()}, fields{"/data": data("a", "")}, fields{"/data": object("a", nil)},
		fields{"/data": object("a", "not base64!")}, fields{"/data": object("a", "eA")}, fields{
			"/data": object("a", 1),
		},
		fields{"/data": object("a", object("b", "c"))}, fields{"/data": list()}, fields{"/data": "eA=="}, fields{
			"/data": data("c", "x", "d", "\x00\xff"),
		},
		fields{"/stringData": object()}, fields{"/stringData": object("a", "x")}, fields{"/stringData": object("c", "x", "a", "")},
		fields{"/stringData": object("a", nil)}, fields{"/stringData": object("a", 1)}, fields{
			"/stringData": list(),
		},
		fields{"/stringData": object("a", "\u00e4")}, fields{"/data": nil, "/stringData": object("c", "x")},
		fields{"/data": data("c", "x"), "/stringData": object("c", "y", "d", "z")}, fields{
			"/data": object("c", "not base64!"), "/stringData": object("c", "y"),
		},
		fields{"/immutable": true}, fields{"/immutable": false}, fields{"/immutable": nil}, fields{"/immutable": "true"},
		fields{"/immutable": true, "/data": data("a", "other")}, fields{
			"/immutable": true, "/stringData": object("a", "other"),
		},
		fields{"/type": nil}, fields{"/type": ""}, fields{"/type": "Opaque"}, fields{"/type": "opaque"},
		fields{"/type": "example.com/of-a-kind"}, fields{
			"/type": 1,
		},
		fields{"/other": "a"}, fields{"/spec": object()}, fields{"/metadata/labels": object("a", "b c")},
		fields{"/metadata/annotations": object("a", "b")}, fields{"/metadata/generation": 7}, fields{
			"/metadata/finalizers": list("a b"),
		},
	)...)
}

// typedVariants are Secrets of the types that Kubernetes defines, with and
// without the keys that these require.
func typedVariants(pair map[string]any) []variant {
	var variants []variant
	typed := func(kind corev1.SecretType, all ...map[string]any) {
		variants = append(variants, variantsOf(fields{"/type": string(kind)}, fields{"/type": string(kind), "/data": nil},
			fields{"/type": string(kind), "/data": nil, "/stringData": object("x", "y")})...)
		for _, data := range all {
			variants = append(variants, variantsOf(fields{"/type": string(kind), "/data": data})...)
		}
	}
	const account = "/metadata/annotations"
	typed(corev1.SecretTypeServiceAccountToken)
	for _, name := range []string{"", "default"} {
		variants = append(variants, variantsOf(fields{"/type": string(corev1.SecretTypeServiceAccountToken),
			account: object(corev1.ServiceAccountNameKey, name)})...)
	}
	for kind, key := range map[corev1.SecretType]string{corev1.SecretTypeDockercfg: corev1.DockerConfigKey,
		corev1.SecretTypeDockerConfigJson: corev1.DockerConfigJsonKey} {
		typed(kind, data(key, "{}"), data(key, `{"auths":{"registry.example":{"auth":"eA=="}}}`), data(key, ""), data(key, "null"),
			data(key, "[]"), data(key, "{"), data(key, "hunter2"), data(key, `"hunter2"`), data(key, "{} hunter2"))
	}
	typed(corev1.SecretTypeBasicAuth, data("username", "a"), data("password", "b"), data("username", "", "password", ""),
		data("username", "a", "other", "b"))
	typed(corev1.SecretTypeSSHAuth, data("ssh-privatekey", ""), data("ssh-privatekey", "x"))
	typed(corev1.SecretTypeTLS, pair, data("tls.crt", "x"), data("tls.key", "x"), data("tls.crt", "", "tls.key", ""),
		data("tls.crt", "x", "tls.key", "y"), object("tls.crt", pair["tls.crt"], "tls.key", pair["tls.crt"]),
		object("tls.crt", pair["tls.key"], "tls.key", pair["tls.key"]), object("tls.crt", pair["tls.crt"], "tls.key", ""), data("ca.crt", "x"))
	typed("bootstrap.kubernetes.io/token", data("token-id", "a"))
	return variants
}

// secrets writes each variant in one of the ways. The rules are the same for
// all ways, and secretChanges writes what is converted in all of them.
func (g *generator) secrets(variants []variant) {
	for i, v := range variants {
		body := secrets.object(secretBase, v.fields)
		g.add("Secret: "+v.name, secrets.create(body).dry(), secrets.create(body), secrets.create(body), secrets.get().accept(asTable),
			secrets.get(), secrets.edit(fields{}), secrets.put(secrets.object(secretBase)),
			secrets.delete().dry(), secrets.delete(), secrets.get())
		way := ways[i%len(ways)]
		g.add(fmt.Sprintf("Secret: %s, %s", way, v.name),
			secrets.create(secrets.object(secretBase)), secrets.change(way, v.fields).dry(), secrets.change(way,
				v.fields), secrets.get(), secrets.delete())
		g.add("Secret: applied, "+v.name, secrets.apply("one", body), secrets.get(), secrets.apply("one", secrets.object(secretBase)),
			secrets.apply("one", secrets.object()), secrets.get())
	}
	for _, name := range []string{"a.b", "1", "A", "-a", "a_b", strings.Repeat("a", 253), strings.Repeat("a", 254), ""} {
		g.add(fmt.Sprintf("Secret: name %q", name), secrets.create(secrets.object(secretBase, fields{"/metadata/name": name})).dry())
	}
}

// secretChanges changes Secrets that are immutable, or of a custom type.
func (g *generator) secretChanges(pair map[string]any) {
	bases := map[string]fields{
		"immutable": secretBase.with(fields{"/immutable": true}),
		"without":   {"/immutable": true},
		"of TLS":    {"/type": string(corev1.SecretTypeTLS), "/data": pair},
	}
	changes := variantsOf(
		fields{"/immutable": nil}, fields{"/immutable": false}, fields{"/immutable": true}, fields{"/data": data("a", "other")},
		fields{"/data": data("a", "one", "b", "two")}, fields{"/data": data("c", "x")}, fields{"/data": nil}, fields{
			"/data": object(),
		},
		fields{"/stringData": object("a", "one")}, fields{"/stringData": object("a", "other")}, fields{"/stringData": object("c", "x")},
		fields{"/immutable": false, "/data": nil}, fields{
			"/metadata/labels": object("a", "b"),
		},
		fields{"/type": nil}, fields{"/type": ""}, fields{"/type": "Opaque"}, fields{"/type": "example.com/of-a-kind"},
		fields{"/data": data("tls.crt", "x", "tls.key", "y")}, fields{
			"/data": data("tls.crt", "x"),
		},
	)
	for name, base := range bases {
		for _, c := range changes {
			for _, way := range ways {
				g.add(fmt.Sprintf("Secret %s: %s, %s", name, way, c.name), secrets.create(secrets.object(base)), secrets.change(way, c.fields).dry(),
					secrets.change(way, c.fields), secrets.get(), secrets.delete())
			}
			g.add(fmt.Sprintf("Secret %s: put, %s", name, c.name), secrets.create(secrets.object(base)), secrets.put(secrets.object(base, c.fields)),
				secrets.get())
		}
	}
}

// secretRequests lists Secrets, and sends requests that apply to all kinds.
func (g *generator) secretRequests() {
	body := func(all ...fields) map[string]any { return secrets.object(append([]fields{secretBase}, all...)...) }
	labels := fields{"/metadata/labels": object("of", "{name}")}
	text := func(pairs ...any) map[string]any { return secrets.object(fields{"/stringData": object(pairs...)}) }
	g.add("Secret: versions", secrets.put(body()), secrets.put(body(fields{"/metadata/resourceVersion": "5"})),
		secrets.apply("one", body()).dry(), secrets.apply("one", body()), secrets.put(body(fields{"/metadata/resourceVersion": "1"})),
		secrets.put(body(fields{"/metadata/resourceVersion": "{RV1}"})), secrets.put(body(labels)),
		secrets.put(body(fields{"/metadata/uid": "other"})), secrets.merge(fields{"/metadata/name": "other"}), secrets.delete(), secrets.delete())
	g.add("Secret: managers", secrets.apply("one", text("a", "x")), secrets.apply("two", text("a", "y")),
		secrets.apply("two", text("a", "y")).with("force=true"), secrets.apply("three", secrets.object(fields{"/data": data("a", "z")})),
		secrets.apply("three", secrets.object(fields{"/data": data("a", "z")})).with("force=true"), secrets.apply("one",
			text("b", "x")), secrets.apply("one", secrets.object()), secrets.apply("three", secrets.object()), secrets.get())
	g.add("Secret: applied and changed", secrets.apply("one", body()), secrets.merge(fields{"/stringData": object("a", "x")}),
		secrets.apply("one", body()), secrets.apply("one",
			body()).with("force=true"), secrets.edit(fields{"/stringData": object("b", "y")}), secrets.get())
	g.add("Secret: patches of stringData", secrets.create(text("a", "x")),
		secrets.patch(jsonPatch, list(object("op", "add", "path", "/stringData", "value", object("b", "y")))),
		secrets.patch(jsonPatch, list(object("op", "add", "path", "/stringData/c", "value", "z"))),
		secrets.patch(jsonPatch, list(object("op", "test", "path", "/stringData", "value", object()))), secrets.patch(strategic,
			object("stringData", object("$patch", "replace", "d", "x"))), secrets.patch(merge, object("data", object("a", nil), "stringData",
			object("e", "x"))), secrets.get())
	g.add("Secret: finalizer", secrets.create(body(fields{"/metadata/finalizers": list("example.com/keep")})), secrets.delete(),
		secrets.create(body()), secrets.merge(fields{"/metadata/finalizers": nil}), secrets.get())
	g.add("Secret: lists", secrets.create(body(labels)), secrets.list("labelSelector=of%3D{name}"),
		secrets.list("fieldSelector=metadata.name%3D{name}"), secrets.list("fieldSelector=type%3DOpaque,metadata.name%3D{name}"),
		secrets.list("fieldSelector=type%3Dother"),
		secrets.list("fieldSelector=metadata.namespace%3D{ns},metadata.name%3D{name}"), secrets.list("fieldSelector=data%3Da"),
		secrets.list("fieldSelector=immutable%3Dtrue"), secrets.list("labelSelector=of%3D{name}").accept(asTable),
		secrets.list("labelSelector=of%3D{name}").accept(asMetadataList),
		secrets.get().accept(asMetadata), secrets.get().accept("application/yaml"), secrets.get().accept("text/plain"),
		secrets.get().on("{name}/status"), secrets.deleteCollection("labelSelector=of%3D{name}").dry(),
		secrets.deleteCollection("labelSelector=of%3D{name}"), secrets.get())
	for _, validation := range []string{"Strict", "Warn", "Ignore", "other"} {
		g.add("Secret: fields, "+validation, secrets.create(body(fields{"/other": "a"})).with("fieldValidation="+validation),
			secrets.create(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"{name}"},"data":{"a":"eA==","a":"eQ=="},"stringData":{"b":"x","b":"y"}}`).with("fieldValidation="+validation))
	}
	for name, text := range map[string]string{
		"none": "", "null": "null", "a list": "[]", "of no kind": "{}",
		"another kind":       `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"{name}"}}`,
		"of another version": `{"apiVersion":"v9","kind":"Secret","metadata":{"name":"{name}"}}`,
		"of a wrong type":    `{"apiVersion":"v1","kind":"Secret","data":"a"}`,
	} {
		g.add("Secret: body "+name, secrets.create(text))
	}
}

// secretSizes writes Secrets around the limits of size.
func (g *generator) secretSizes() {
	for _, size := range []int{corev1.MaxSecretSize, corev1.MaxSecretSize + 1} {
		large := data("a", strings.Repeat("x", size-1), "b", "y")
		g.add(fmt.Sprintf("Secret: %d bytes", size), secrets.create(secrets.object(fields{"/data": large})), secrets.get().accept(asTable),
			secrets.create(secrets.object(secretBase)), secrets.put(secrets.object(fields{"/data": large})),
			secrets.merge(fields{"/stringData": object("c", "more")}), secrets.get().accept(asTable))
	}
}
