//go:build e2e

package access

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	authentication = "/apis/authentication.k8s.io/v1/"
	authorization  = "/apis/authorization.k8s.io/v1/"
)

// chosen are the values that a server chooses. Messages quote objects.
var chosen = regexp.MustCompile(
	`\\?"resourceVersion\\?":\\?"[^"\\]*\\?"|"uid":"` + framework.UIDs + `"|X509SHA256=[0-9a-f]+|` + framework.Times)

// ambiguous are texts that differ between runs or releases: which of several bindings allows
// a request, the name of the authorizer, which is in reasons since 1.37, and descriptions.
var ambiguous = strings.NewReplacer("Users: RBAC: ", "RBAC: ", `"roleRef can `, `"RoleRef can `)

// age is the age of an object in a table.
var age = regexp.MustCompile(`"` + framework.Ages + `"`)

var allowedBy = regexp.MustCompile(`RBAC: allowed by [^}]*`)

// compare sends a request to both servers and compares codes and bodies.
func compare(t *testing.T, servers [2]*server, method, path, body string, header http.Header) {
	t.Helper()
	var answers [2]answer
	for i, server := range servers {
		answers[i] = server.send(t, method, path, body, header)
		answers[i].body = age.ReplaceAllString(ambiguous.Replace(chosen.ReplaceAllString(answers[i].body, "chosen")), "age")
	}
	if header.Get("Any-Binding") != "" {
		for i := range answers {
			answers[i].body = allowedBy.ReplaceAllString(answers[i].body, "allowed")
		}
	}
	if theirs, ours := answers[0], answers[1]; theirs.code != ours.code || theirs.body != ours.body {
		t.Errorf("%s %s %s %v: got %d\n%s\nwant %d\n%s", method, path, body, header["Impersonate-User"], ours.code, ours.body, theirs.code,
			theirs.body)
	}
}

// reviews are bodies of reviews, by the resource. The words KIND and VERSION stand for those
// of the resource.
var reviews = map[string][]string{
	authentication + "selfsubjectreviews": {"", `{}`, `{"metadata":{"name":"a"}}`, `{"spec":{}}`, `{"metadata":{"namespace":"x"}}`},
	authentication + "tokenreviews": {
		`{}`, `{"spec":{}}`, `{"spec":{"token":""}}`, `{"spec":{"token":"a","audiences":["b"]},"metadata":{"namespace":"x"}}`,
	},
	authorization + "selfsubjectaccessreviews": slices.Concat(specs(""), metadata("")),
	authorization + "subjectaccessreviews": slices.Concat(specs(`"user":"ann",`), specs(`"user":"ann","groups":["system:masters"],`),
		specs(`"groups":["b"],"uid":"1","extra":{"a":["b"]},`), specs(`"user":"","groups":[],`), metadata(`"user":"ann",`)),
	authorization + "namespaces/default/localsubjectaccessreviews": slices.Concat(specs(`"user":"ann",`), specs(""),
		metadata(`"user":"ann",`)),
	authorization + "namespaces/missing/localsubjectaccessreviews": {
		`{"spec":{"user":"ann","resourceAttributes":{"namespace":"missing","verb":"get","resource":"pods"}}}`,
	},
	authorization + "selfsubjectrulesreviews": {`{}`, `{"spec":{}}`, `{"spec":{"namespace":""}}`},
}

// selectors restrict the requests that reviews ask about.
var selectors = []string{
	`"fieldSelector":{"rawSelector":"spec.nodeName=a"}`,
	`"fieldSelector":{"rawSelector":"spec"}`,
	`"fieldSelector":{}`,
	`"fieldSelector":{"rawSelector":"a=b","requirements":[{"key":"a","operator":"In","values":["b"]}]}`,
	`"fieldSelector":{"requirements":[{"key":"a","operator":"In","values":["b"]},{"key":"a","operator":"Exists"}]}`,
	`"fieldSelector":{"requirements":[{"key":"a","operator":"Exists"}]}`,
	`"fieldSelector":{"requirements":[{"key":"","operator":"In","values":[]}]}`,
	`"labelSelector":{"rawSelector":"a in (b)"}`,
	`"labelSelector":{"rawSelector":"a in"}`,
	`"labelSelector":{"requirements":[{"key":"a","operator":"In","values":["b"]},{"key":"a","operator":"Like"}]}`,
	`"labelSelector":{"requirements":[{"key":"a b","operator":"In","values":[]}]}`,
}

// specs returns reviews with attributes of requests.
func specs(who string) (bodies []string) {
	for _, attributes := range []string{
		`"resourceAttributes":{"namespace":"default","verb":"get","resource":"pods"}`,
		`"resourceAttributes":{"namespace":"default","verb":"get","resource":"pods","name":"a","subresource":"status","version":"v1"}`,
		`"resourceAttributes":{"verb":"create","group":"authorization.k8s.io","resource":"selfsubjectaccessreviews"}`,
		`"resourceAttributes":{}`, `"resourceAttributes":{"namespace":"other","verb":"list","group":"*","resource":"*"}`,
		`"nonResourceAttributes":{"path":"/openapi/v2","verb":"get"}`, `"nonResourceAttributes":{"path":"/metrics","verb":"get"}`,
		`"nonResourceAttributes":{}`, `"resourceAttributes":{"verb":"get"},"nonResourceAttributes":{"path":"/a\"b","verb":"get"}`, `"other":1`,
	} {
		bodies = append(bodies, `{"spec":{`+who+attributes+`}}`)
	}
	for _, selector := range selectors {
		bodies = append(bodies, `{"spec":{`+who+`"resourceAttributes":{"namespace":"default","verb":"list","resource":"pods",`+selector+`}}}`)
	}
	return bodies
}

// metadata returns reviews with metadata.
func metadata(who string) (bodies []string) {
	for _, metadata := range []string{`{"name":"a"}`, `{"namespace":"default"}`, `{"namespace":"other"}`, `{"labels":{"a":"b"}}`} {
		bodies = append(bodies,
			`{"metadata":`+metadata+`,"spec":{`+who+`"resourceAttributes":{"namespace":"default","verb":"get","resource":"pods"}}}`)
	}
	return bodies
}

// callers are users without rights beyond those that all have, and one with all.
var callers = []http.Header{
	{}, {"Impersonate-User": {"ann"}},
	{"Impersonate-User": {"bob"}, "Impersonate-Group": {"a", "b"}, "Impersonate-Uid": {"1"}, "Impersonate-Extra-Scopes": {"c", "d"}},
	{"Impersonate-User": {"root"}, "Impersonate-Group": {"system:masters"}},
	{"Impersonate-User": {"system:serviceaccount:default:a"}},
}

// TestReviews sends reviews, and other requests to their paths, as several users.
func TestReviews(t *testing.T) {
	servers := start(t)
	for path, bodies := range reviews {
		for _, caller := range callers {
			for _, body := range bodies {
				header := caller.Clone()
				header.Set("Content-Type", "application/json")
				compare(t, servers, http.MethodPost, path, body, header)
				compare(t, servers, http.MethodPost, path+"?dryRun=All&fieldValidation=Strict", body, header)
			}
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch} {
				compare(t, servers, method, path, "", caller)
				compare(t, servers, method, path+"/a", "", caller)
			}
		}
	}
	for _, path := range []string{authentication, authorization} {
		compare(t, servers, http.MethodGet, strings.TrimSuffix(path, "/"), "", nil)
		compare(t, servers, http.MethodGet, strings.TrimSuffix(path, "/v1/"), "", nil)
	}
}

// TestKubectl has kubectl ask who several users are and what they may do.
func TestKubectl(t *testing.T) {
	servers := start(t)
	for _, who := range []string{"", "--as=ann", "--as=ann --as-group=people --as-uid=1", "--as=root --as-group=system:masters"} {
		for _, line := range []string{
			"auth whoami", "auth whoami -oyaml", "auth can-i get pods", "auth can-i create services -n default", "auth can-i get /version",
			"auth can-i delete secrets/a -A", "auth can-i '*' '*'", "auth can-i --list", "auth can-i --list -n other", "auth can-i get unknown",
			"auth can-i create selfsubjectreviews.authentication.k8s.io", "auth can-i create tokenreviews.authentication.k8s.io",
		} {
			args := slices.Concat(strings.Fields(strings.ReplaceAll(line, "'", "")), strings.Fields(who))
			var outputs [2]string
			for i, server := range servers {
				out, err := framework.NewKubectl(t, server.kubeconfig).Try("", args...)
				if err != nil {
					out += err.Error()
				}
				outputs[i] = masked(out)
			}
			if outputs[0] != outputs[1] {
				t.Errorf("kubectl %s: got\n%swant\n%s", strings.Join(args, " "), outputs[1], outputs[0])
			}
		}
	}
}

// masked replaces what a server chooses in the output of kubectl. Lists of rules are in no
// order.
func masked(out string) string {
	out = chosen.ReplaceAllString(out, "chosen")
	lines := strings.SplitAfter(out, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}
