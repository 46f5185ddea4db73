//go:build e2e

package guides

// watchEndpoints watches the Endpoints of a Service while Pods turn ready and
// their labels change.
func watchEndpoints(g guide) {
	g.types("kubectl create -f toad-svc.yaml -f pods.yaml")
	g.awaits("kubectl get endpoints toad-svc", "<none>")
	watch := g.begins("kubectl get endpoints toad-svc --watch")
	watch.shows(2)
	services := g.begins("kubectl get svc -w")
	services.shows(2)

	g.ready("toad-1", "192.0.2.1")
	watch.shows(1)
	g.awaits("kubectl get endpointslices", "192.0.2.1")
	g.ready("toad-2", "192.0.2.2")
	watch.shows(1)
	g.turns("toad-1", "False")
	watch.shows(1)
	g.types("kubectl get endpoints toad-svc -o yaml")
	g.awaits("kubectl get endpointslices -o yaml", "ready: false")
	g.turns("toad-1", "True")
	watch.shows(1)
	g.types("kubectl label pod toad-1 app=frog --overwrite")
	watch.shows(1)
	g.types("kubectl get pods -L app")
	g.types("kubectl label pod toad-1 app=toad --overwrite")
	watch.shows(1)
	g.types("kubectl label pod toad-2 app-")
	watch.shows(1)
	g.types("kubectl label pod -l app=toad tier=back")
	g.fails("kubectl label pod toad-1 app=toad,frog --overwrite")
	g.types("kubectl delete pod toad-1 --force; kubectl get pods")
	watch.shows(1)

	g.types("kubectl label svc toad-svc tier=front")
	services.shows(1)
	g.types(`kubectl patch svc toad-svc -p '{"spec":{"type":"NodePort"}}'`)
	services.shows(1)
	g.types("kubectl delete svc toad-svc")
	services.shows(1)
	watch.shows(1)
	services.ends()
	watch.ends()
}

// namespaces deletes a namespace and its contents.
func namespaces(g guide) {
	g.types("kubectl create namespace toads")
	g.types("kubectl get namespace toads --show-labels")
	// Portolan serves no quotas and limits, so kubectl does not say that there
	// are none.
	const status = "Status:       Active\n"
	g.types("kubectl describe namespace toads", exception{status, status + "\nNo resource quota.\n\nNo LimitRange resource.\n"})
	g.fails("kubectl create namespace toads")
	g.fails("kubectl create namespace Toads")
	g.types("kubectl create -f toad-svc.yaml --namespace=toads")
	g.fails("kubectl create -f toad-svc.yaml --namespace=frogs")
	g.types("kubectl get svc --all-namespaces -l app=toad")
	g.types("kubectl get svc -n toads")
	g.types("kubectl label namespace toads tier=pond")
	g.types("kubectl get ns -l tier=pond -o yaml")
	g.types("kubectl delete namespace toads")
	g.fails("kubectl get namespace toads")
	g.fails("kubectl get svc toad-svc -n toads")
	g.types("kubectl get svc -n toads")
	g.fails("kubectl delete namespace default")
}
