//go:build e2e

package guides

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/portolan-dev/portolan/test/framework"
)

// formats prints the same objects in every output format.
func formats(g guide) {
	g.types("kubectl create -f toad-svc.yaml -f external-name.yaml -f external-endpointslices.yaml")
	g.settles("toad-svc")
	for _, flags := range []string{
		"", "-o wide", "-o name", "-o json", "-o yaml", "--no-headers", "--show-labels", "-L app", "--show-kind",
		"-o jsonpath='{.items[*].metadata.name}'", `-o jsonpath='{range .items[*]}{.metadata.name}{"\t"}{.spec.ports[0].targetPort}{"\n"}{end}'`,
		`-o go-template='{{range .items}}{{.metadata.name}} {{end}}'`,
		"-o custom-columns=NAME:.metadata.name,TYPE:.spec.type,PORTS:.spec.ports[*].port",
		"--sort-by=.spec.type", "--sort-by=.metadata.name --no-headers",
		"-l app=toad", "-l 'app notin (toad)'", "--field-selector=metadata.name=toad-svc", "--field-selector=spec.type=ExternalName",
		"--chunk-size=1", "--server-print=false", "--all-namespaces",
	} {
		g.types("kubectl get svc " + flags)
	}
	g.fails("kubectl get svc --field-selector=spec.sessionAffinity=None")
	g.fails("kubectl get svc -o nonsense")
	g.types("kubectl get svc toad-svc external-service")
	g.types("kubectl get svc/toad-svc endpointslice/external-database-1")
	g.types("kubectl get endpointslices --sort-by=.metadata.name -o wide")
	g.types("kubectl get -f toad-svc.yaml")
	g.types("kubectl describe -f toad-svc.yaml")
	g.types("kubectl describe svc")
	g.types("kubectl get servicecidrs")
	g.types("kubectl get servicecidr kubernetes -o yaml")
	g.types("kubectl describe servicecidr kubernetes")
	g.types("kubectl wait servicecidr/kubernetes --for=condition=Ready")
	g.types("kubectl get ipaddress 10.96.100.129 -o yaml")
	// kube-apiserver sends the age without the name of its column.
	g.types("kubectl get ipaddress 10.96.100.129", exception{"PARENTREF                     AGE", "PARENTREF"},
		exception{"kubernetes   <age>", "kubernetes"})
	g.types("kubectl delete svc --all")
	// A slice written by hand remains.
	g.types("kubectl get endpointslice external-database-1 -o name")
}

// raw prints the answers of the server as they are.
func raw(g guide) {
	g.types("kubectl create -f toad-svc.yaml -f pods.yaml")
	g.ready("toad-1", "192.0.2.1")
	g.awaits("kubectl get endpoints toad-svc", "192.0.2.1:8080")
	g.awaits("kubectl get endpointslices", "192.0.2.1")
	for _, path := range []string{
		"/api/v1/namespaces/raw/services", "/api/v1/namespaces/raw/services/toad-svc", "/api/v1/namespaces/raw/services/toad-svc/status",
		"/api/v1/namespaces/raw/endpoints", "/api/v1/namespaces/raw/endpoints/toad-svc",
		"/apis/discovery.k8s.io/v1/namespaces/raw/endpointslices", "/api/v1/namespaces/raw", "/api/v1/namespaces/default/services/kubernetes",
		"/api/v1/namespaces/raw/services?labelSelector=app%3Dfrog", "/api", "/healthz", "/readyz", "/livez",
	} {
		g.types("kubectl get --raw '" + path + "'")
	}
	for _, path := range []string{
		"/api/v1/namespaces/raw/services/none-such", "/api/v1/namespaces/raw/servises", "/api/v2", "/apis/discovery.k8s.io/v2/endpointslices",
		"/none-such",
		"/api/v1/namespaces/raw/services?fieldSelector=spec.sessionAffinity%3DNone", "/api/v1/namespaces/raw/services?limit=x",
	} {
		g.fails("kubectl get --raw '" + path + "'")
	}
	g.types("sed s/toad-svc/raw-svc/ toad-svc.yaml | kubectl create --dry-run=client -o json -f - > raw.json && kubectl create --raw /api/v1/namespaces/raw/services -f raw.json")
	g.types("kubectl delete --raw /api/v1/namespaces/raw/services/raw-svc")
	g.types("kubectl delete -f toad-svc.yaml -f pods.yaml --force")
}

// proxy sends requests through kubectl proxy, as programs without credentials
// do.
func proxy(g guide) {
	g.types("kubectl create -f toad-svc.yaml")
	proxy := g.begins("kubectl proxy --port=0")
	kube, portolan := proxy.shows(1)
	at := regexp.MustCompile(`127\.0\.0\.1:\d+`)
	ask := func(method, path, body string) {
		g.Helper()
		kube, portolan := at.FindString(kube), at.FindString(portolan)
		g.compare(method+" "+path+" through kubectl proxy", g.ask(method, kube, path, body), g.ask(method, portolan, path, body), nil)
	}
	ask(http.MethodGet, "/api/v1/namespaces/proxy/services", "")
	ask(http.MethodGet, "/api/v1/namespaces/proxy/services/toad-svc", "")
	ask(http.MethodGet, "/api/v1/namespaces/proxy/services/none-such", "")
	ask(http.MethodPost, "/api/v1/namespaces/proxy/services",
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"posted"},"spec":{"ports":[{"port":80}]}}`)
	ask(http.MethodPost, "/api/v1/namespaces/proxy/services",
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"posted"},"spec":{"ports":[{"port":80}]}}`)
	ask(http.MethodDelete, "/api/v1/namespaces/proxy/services/posted", "")
	proxy.ends()
	g.types("kubectl delete -f toad-svc.yaml")
}

// ask returns the answer to a request, with the header fields that clients
// read.
func (g guide) ask(method, address, path, body string) result {
	g.Helper()
	response, answer := framework.Send(g, http.DefaultClient, method, "http://"+address+path, strings.NewReader(body),
		http.Header{"Content-Type": {"application/json"}})
	return result{stdout: answer,
		stderr: "Content-Type: " + response.Header.Get("Content-Type") + "\n" +
			strings.Join(response.Header.Values("Warning"), "\n"), code: response.StatusCode}
}

// explain prints the documentation of fields.
func explain(g guide) {
	for _, field := range []string{
		"svc", "svc.spec", "svc --recursive", "service.spec.ports", "svc.spec.type", "svc.spec.sessionAffinityConfig.clientIP",
		"svc.status.loadBalancer",
		"endpoints", "endpoints.subsets", "endpoints --recursive", "endpointslices", "endpointslices --recursive",
		"endpointslice.endpoints.conditions",
		"servicecidr --recursive", "ipaddress --recursive",
	} {
		g.types("kubectl explain " + field)
	}
	// Portolan is built with the modules of Kubernetes 1.37, which use the
	// names of the fields.
	g.types("kubectl explain servicecidr.spec", exception{"cidrs defines", "CIDRs defines"})
	g.types("kubectl explain ipaddress.spec", exception{"parentRef references", "ParentRef references"})
	g.fails("kubectl explain svc.spec.none")
}
