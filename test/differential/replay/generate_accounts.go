//go:build e2e

package replay

import (
	"fmt"
	"net/http"
	"strings"
)

// accountCorpus returns the sequences about ServiceAccounts and their tokens.
func accountCorpus() []Sequence {
	g := &generator{}
	g.accounts()
	g.accountRequests()
	g.tokenRequests()
	g.boundTokens()
	return g.sequences
}

func accountVariants() []variant {
	const enforced = "kubernetes.io/enforce-mountable-secrets"
	return variantsOf(
		fields{}, fields{"/automountServiceAccountToken": false}, fields{"/automountServiceAccountToken": nil},
		fields{"/automountServiceAccountToken": "no"}, fields{"/secrets": list(object("name", "a"))},
		fields{"/secrets": list(object("name", "a", "namespace", "b", "kind", "Secret", "uid", "1"))}, fields{"/secrets": list()},
		fields{"/secrets": list(object("name", "a"), object("name", "a"))}, fields{"/secrets": list("a")}, fields{"/secrets": nil},
		fields{"/secrets": list(object(), object("name", "b"))},
		fields{"/imagePullSecrets": list(object("name", "a"))}, fields{"/imagePullSecrets": list(object("name", "A b"), object())},
		fields{"/imagePullSecrets": list(object("name", "a"), object("name", "a"))}, fields{"/imagePullSecrets": object()},
		fields{"/metadata/annotations": object(enforced, "true")}, fields{"/metadata/annotations": object(enforced, "")},
		fields{"/metadata/labels": object("a", "b c")}, fields{"/metadata/finalizers": list("a b")},
		fields{"/other": "a"}, fields{"/spec": object()},
	)
}

// accounts writes each variant in all of the ways, and applies it.
func (g *generator) accounts() {
	base := fields{"/imagePullSecrets": list(object("name", "pull"))}
	for _, v := range accountVariants() {
		body := accounts.object(base, v.fields)
		g.add("ServiceAccount: "+v.name, accounts.create(body).dry(), accounts.create(body), accounts.create(body),
			accounts.get().accept(asTable), accounts.get(), accounts.edit(fields{}), accounts.put(accounts.object(base)),
			accounts.delete().dry(), accounts.delete(), accounts.get())
		for _, way := range ways {
			g.add(fmt.Sprintf("ServiceAccount: %s, %s", way, v.name), accounts.create(accounts.object(base)),
				accounts.change(way, v.fields).dry(), accounts.change(way, v.fields), accounts.edit(fields{"/metadata/labels": object("a", "b")}),
				accounts.get(), accounts.delete())
		}
		g.add("ServiceAccount: applied, "+v.name, accounts.apply("one", body), accounts.get(),
			accounts.apply("one", accounts.object(base)), accounts.apply("one", accounts.object()), accounts.get())
	}
	for _, name := range []string{"a.b", "1", "A", "-a", "a_b", strings.Repeat("a", 253), strings.Repeat("a", 254), ""} {
		g.add(fmt.Sprintf("ServiceAccount: name %q", name), accounts.create(accounts.object(fields{"/metadata/name": name})).dry())
	}
}

// accountRequests lists ServiceAccounts, and sends requests that apply to all kinds.
func (g *generator) accountRequests() {
	labels := fields{"/metadata/labels": object("of", "{name}")}
	g.add("ServiceAccount: versions", accounts.put(accounts.object()), accounts.apply("one", accounts.object()),
		accounts.put(accounts.object(fields{"/metadata/resourceVersion": "1"})), accounts.put(accounts.object(labels)),
		accounts.put(accounts.object(fields{"/metadata/uid": "other"})), accounts.delete(), accounts.delete())
	g.add("ServiceAccount: finalizer", accounts.create(accounts.object(fields{"/metadata/finalizers": list("example.com/keep")})),
		accounts.delete(), accounts.create(accounts.object()), tokenRequest(request()), accounts.merge(fields{"/metadata/finalizers": nil}),
		accounts.get(), tokenRequest(request()))
	g.add("ServiceAccount: lists", accounts.create(accounts.object(labels)), accounts.list("labelSelector=of%3D{name}"),
		accounts.list("fieldSelector=metadata.name%3D{name}"), accounts.list("fieldSelector=secrets%3Da"),
		accounts.list("labelSelector=of%3D{name}").accept(asTable), accounts.get().accept(asMetadata), accounts.get().on("{name}/status"),
		accounts.deleteCollection("labelSelector=of%3D{name}"), accounts.get())
}

// tokenRequest asks for a token of the sequence's ServiceAccount.
func tokenRequest(body any) Step {
	return Step{Method: http.MethodPost, Path: accounts.named("{name}/token"), ContentType: plain, Body: body}
}

// request returns a TokenRequest.
func request(all ...fields) map[string]any {
	body := object("apiVersion", "authentication.k8s.io/v1", "kind", "TokenRequest")
	for _, f := range all {
		f.set(body)
	}
	return body
}

// tokenRequests asks for tokens in good ways and bad ones.
func (g *generator) tokenRequests() {
	for _, v := range variantsOf(
		fields{}, fields{"/spec": object()}, fields{"/spec": nil}, fields{"/spec/audiences": list()},
		fields{"/spec/audiences": list("a", "b", "a")},
		fields{"/spec/audiences": list("")}, fields{"/spec/audiences": "a"}, fields{"/spec/expirationSeconds": 600},
		fields{"/spec/expirationSeconds": 599}, fields{"/spec/expirationSeconds": 0}, fields{"/spec/expirationSeconds": -1},
		fields{"/spec/expirationSeconds": 1 << 32}, fields{"/spec/expirationSeconds": 1<<32 + 1}, fields{"/spec/expirationSeconds": "600"},
		fields{"/spec/expirationSeconds": nil}, fields{"/spec/expirationSeconds": 3607}, fields{"/spec/other": "a"},
		fields{"/status": object("token", "mine")}, fields{"/metadata/name": "other"}, fields{"/metadata/name": "{name}"},
		fields{"/metadata/namespace": "other"}, fields{"/metadata/namespace": "{ns}"}, fields{"/metadata/uid": "other"},
		fields{"/metadata/uid": "{UID1}"}, fields{"/metadata/labels": object("a", "b")}, fields{"/metadata/generateName": "a"},
		fields{"/metadata/creationTimestamp": "2020-01-02T03:04:05Z"}, fields{"/kind": "Pod"}, fields{"/apiVersion": "v1"},
		fields{"/apiVersion": "authentication.k8s.io/v1beta1"}, fields{"/kind": nil, "/apiVersion": nil},
	) {
		g.add("TokenRequest: "+v.name, accounts.create(accounts.object()), tokenRequest(request(v.fields)), tokenRequest(request(v.fields)).dry(),
			accounts.delete(), tokenRequest(request(v.fields)))
	}
	path := accounts.named("{name}/token")
	g.add("TokenRequest: other requests", accounts.create(accounts.object()), Step{Method: http.MethodGet, Path: path},
		Step{Method: http.MethodPut, Path: path, ContentType: plain, Body: request()}, Step{Method: http.MethodDelete, Path: path},
		Step{Method: http.MethodPatch, Path: path, ContentType: merge, Body: request()}, tokenRequest(""), tokenRequest("[]"), tokenRequest("{"),
		tokenRequest(request(fields{"/spec/other": "a"})).with("fieldValidation=Strict"), tokenRequest(request()).accept("application/yaml"),
		tokenRequest(request()).accept(asTable))
}

// boundTokens binds tokens to objects that are there, and to others.
func (g *generator) boundTokens() {
	bound := func(kind, name string, more ...fields) map[string]any {
		reference := fields{"/spec/boundObjectRef": object("apiVersion", "v1", "kind", kind, "name", name)}
		return request(append([]fields{reference}, more...)...)
	}
	g.add("TokenRequest: with a Secret", accounts.create(accounts.object()), tokenRequest(bound("Secret", "{name}")),
		secrets.create(secrets.object()), tokenRequest(bound("Secret", "{name}")),
		tokenRequest(bound("Secret", "{name}", fields{"/spec/boundObjectRef/uid": "other"})),
		tokenRequest(bound("Secret", "{name}", fields{"/spec/boundObjectRef/apiVersion": "v9"})),
		tokenRequest(bound("Secret", "{name}", fields{"/spec/boundObjectRef/apiVersion": "apps/v1"})), tokenRequest(bound("Secret", "")))
	for _, kind := range []string{"Pod", "Node", "Service", ""} {
		g.add(fmt.Sprintf("TokenRequest: with kind %q", kind), accounts.create(accounts.object()), tokenRequest(bound(kind, "{name}")))
	}
}
