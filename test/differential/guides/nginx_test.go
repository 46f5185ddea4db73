//go:build e2e

package guides

// nginx changes the type of a Service.
func nginx(g guide) {
	g.types(`kubectl run nginx --image=nginx --port=80 --labels=app=nginx --overrides='{"spec":{"nodeName":"node-1"}}'`)
	g.types("kubectl create -f nginx.yaml")
	g.types("kubectl get svc nginx")
	g.types("kubectl get svc nginx -o yaml")
	g.ready("nginx", "192.0.2.10")
	g.awaits("kubectl describe svc nginx", "192.0.2.10:80")
	g.types("kubectl delete -f nginx.yaml")

	g.types("kubectl apply -f nginx-nodeport.yaml")
	g.types("kubectl get svc nginx")
	g.types("kubectl get svc nginx -o yaml")
	g.awaits("kubectl describe svc nginx", "192.0.2.10:80")
	g.types("kubectl apply -f nginx-loadbalancer.yaml")
	g.types("kubectl get svc nginx")
	g.types("kubectl get svc nginx -o yaml")
	g.awaits("kubectl describe svc nginx", "192.0.2.10:80")
	g.types("kubectl apply -f nginx.yaml")
	g.types("kubectl get svc nginx -o yaml")
	g.types("kubectl delete svc nginx")
	g.types("kubectl delete pod nginx --force")
}

// hello is a Service for load balancers that send requests to the Service's
// port.
func hello(g guide) {
	g.types("kubectl apply -f hello-service.yaml")
	g.types("kubectl get svc hello-service")
	g.types("kubectl get service hello-service -o yaml")
	g.settles("hello-service")
	g.types("kubectl describe services hello-service")
	g.types("kubectl get service hello-service --output=jsonpath='{.spec.ports[0].port} {.spec.ports[0].targetPort}'")
	g.types("kubectl delete -f hello-service.yaml")
}

// examples applies all our examples at once.
func examples(g guide) {
	const others = " -f external-endpoints.yaml -f external-endpointslices.yaml"
	// This manifest names its port, which must not be picked before.
	g.types("kubectl delete svc toad --namespace=kube-system")
	g.types("kubectl apply -f toad.yaml" + others)
	g.types("sed 's/^spec:/spec:\\n  nodeName: node-1/' toad-pods.yaml | kubectl apply -f -")
	g.types("kubectl get svc -o wide")
	g.types("kubectl get svc -o yaml")
	g.types("kubectl apply -f toad.yaml" + others)
	g.ready("toad-1", "192.0.2.1")
	for _, service := range []string{"toad-svc", "toad-affinity", "toad-two-ports", "toad-named-ports", "toad-nodeport", "toad-any-nodeport",
		"toad-loadbalancer", "toad-headless"} {
		g.awaits("kubectl get endpoints "+service, "192.0.2.1:8080")
		// Many objects change at once here, and upstream's controllers emit an
		// event for each conflict.
		g.awaits("kubectl describe svc --show-events=false "+service, "192.0.2.1:8080")
	}
	g.types("kubectl get all,endpoints")
	g.types("kubectl delete -f toad-pods.yaml --force")
	g.types("kubectl delete -f toad.yaml" + others)
	g.types("kubectl get all")
	g.types("kubectl create service nodeport toad --tcp=80 --node-port=30123 --namespace=kube-system")
}
