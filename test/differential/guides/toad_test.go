//go:build e2e

package guides

// toad creates, reads and deletes a Service with a cluster IP.
func toad(g guide) {
	g.types("kubectl create -f toad-svc.yaml --dry-run=server")
	g.types("kubectl create -f toad-svc.yaml")
	g.types("kubectl get svc")
	g.types("kubectl get svc toad-svc")
	g.types("kubectl get svc toad-svc -o yaml")
	g.awaits("kubectl get endpoints toad-svc", "<none>")
	g.settles("toad-svc")
	g.types("kubectl describe svc toad-svc")
	g.types("kubectl describe svc kubernetes")

	g.types("kubectl create -f pods.yaml")
	g.types("kubectl get pods -o wide")
	g.ready("toad-1", "192.0.2.1")
	// Endpoints that are added to a slice together have no order.
	g.awaits("kubectl get endpointslices", "192.0.2.1")
	g.ready("toad-2", "192.0.2.2")
	g.types("kubectl get pods --show-labels")
	g.awaits("kubectl get endpoints toad-svc", "192.0.2.1:8080,192.0.2.2:8080")
	g.awaits("kubectl describe svc toad-svc", "192.0.2.1:8080,192.0.2.2:8080")
	g.types("kubectl describe endpoints toad-svc")
	g.types("kubectl get endpoints toad-svc -o yaml")
	g.awaits("kubectl get endpointslices", "192.0.2.1,192.0.2.2")
	g.types("kubectl get endpointslices -l kubernetes.io/service-name=toad-svc -o yaml")
	g.types("kubectl describe endpointslices -l kubernetes.io/service-name=toad-svc")
	g.types("kubectl get svc,endpoints,endpointslices -o wide")
	g.types("kubectl get all")
	g.types("kubectl get nodes,pods -o wide")
	g.types("kubectl describe endpoints")
	g.types("kubectl cluster-info")

	g.fails("kubectl create -f toad-svc.yaml")
	g.types("kubectl delete -f toad-svc.yaml")
	g.fails("kubectl get svc toad-svc")
	g.fails("kubectl delete -f toad-svc.yaml")
	g.types("kubectl delete -f toad-svc.yaml --ignore-not-found")
	g.awaits("kubectl get svc,endpoints,endpointslices --selector=app=toad", "No resources found")
	g.types("kubectl delete -f pods.yaml --force")
	g.types("kubectl get pods")
}

// toadAffinity sets and removes session affinity.
func toadAffinity(g guide) {
	g.types("kubectl apply -f toad-svc.yaml")
	g.types("kubectl apply -f toad-svc.yaml")
	g.fails("kubectl diff -f toad-svc-affinity.yaml")
	g.types("kubectl apply -f toad-svc-affinity.yaml")
	g.types("kubectl diff -f toad-svc-affinity.yaml")
	g.types("kubectl get svc toad-svc -o yaml")
	g.settles("toad-svc")
	g.types("kubectl describe svc toad-svc")
	g.types("kubectl apply -f toad-svc.yaml")
	g.types("kubectl get svc toad-svc -o yaml")
	g.types("kubectl delete -f toad-svc.yaml")
}

// toadPorts has two ports, first numbered, then named as in the Pods.
func toadPorts(g guide) {
	g.types("kubectl create -f toad-two-ports.yaml -f pods.yaml")
	g.types("kubectl get svc toad")
	g.ready("toad-1", "192.0.2.1")
	g.awaits("kubectl describe svc toad", "192.0.2.1:8443")
	g.types("kubectl get endpoints toad -o yaml")
	g.types("kubectl apply -f toad-named-ports.yaml")
	g.types("kubectl describe svc toad")
	g.types("kubectl get svc toad -o yaml")
	g.ready("toad-2", "192.0.2.2")
	g.awaits("kubectl get endpoints toad", "+ 1 more...")
	g.types("kubectl describe endpoints toad")
	g.awaits("kubectl get endpointslices -o wide", "192.0.2.2")
	g.types("kubectl delete -f toad-named-ports.yaml -f pods.yaml --force")
}

// externalService has no selector, and Endpoints written by hand.
func externalService(g guide) {
	g.types("kubectl create -f external-service.yaml")
	g.types("kubectl get svc external-service")
	g.fails("kubectl get endpoints external-service")
	g.types("kubectl describe svc external-service")
	g.types("kubectl create -f external-service-endpoints.yaml")
	g.types("kubectl get endpoints external-service")
	g.types("kubectl get endpoints external-service -o yaml")
	g.types("kubectl describe endpoints external-service")
	g.awaits("kubectl get endpointslices -l kubernetes.io/service-name=external-service", "22.22.22.22")
	g.types("kubectl get endpointslices -l kubernetes.io/service-name=external-service -o yaml")
	g.types("kubectl describe svc external-service")
	g.types("kubectl apply -f external-service-endpoints.yaml")
	g.types("kubectl delete -f external-service-endpoints.yaml -f external-service.yaml")
	g.awaits("kubectl get svc,endpoints,endpointslices", "No resources found")
	g.types("kubectl create -f external-endpointslices.yaml")
	g.types("kubectl describe svc external-database")
	g.types("kubectl get endpointslices")
	g.types("kubectl delete -f external-endpointslices.yaml")
}

// externalName is an alias for an external host.
func externalName(g guide) {
	g.types("kubectl create -f external-name.yaml")
	g.types("kubectl get svc external-service")
	g.types("kubectl get svc external-service -o yaml")
	g.types("kubectl describe svc external-service")
	g.types("kubectl get endpoints,endpointslices")
	g.types(`kubectl patch svc external-service -p '{"spec":{"type":"ClusterIP","externalName":null}}'`)
	g.types("kubectl get svc external-service -o yaml")
	g.types("kubectl apply -f external-name.yaml")
	g.types("kubectl get svc external-service -o yaml")
	g.types("kubectl delete svc external-service")
}

// toadNodePort names its node port.
func toadNodePort(g guide) {
	g.types("kubectl create -f toad-nodeport.yaml")
	g.types("kubectl get svc toad-nodeport")
	g.types("kubectl get svc toad-nodeport -o yaml")
	g.settles("toad-nodeport")
	g.types("kubectl describe svc toad-nodeport")
	// kube-apiserver reports the taken port before the name that exists.
	g.fails("kubectl create -f toad-nodeport.yaml", exception{
		`Error from server (AlreadyExists): error when creating "toad-nodeport.yaml": services "toad-nodeport" already exists`,
		`The Service "toad-nodeport" is invalid: spec.ports[0].nodePort: Invalid value: 30123: provided port is already allocated`,
	})
	g.fails("kubectl create service nodeport other --tcp=80 --node-port=30123", holder("toad-nodeport/toad-nodeport"))
	g.fails("kubectl create service nodeport other --tcp=80 --node-port=80")
	g.fails("kubectl create service nodeport other --tcp=80 --node-port=123456")
	g.fails(`kubectl patch svc toad-nodeport --type=merge -p '{"spec":{"type":"ClusterIP"}}' --validate=strict`)
	g.types(`kubectl patch svc toad-nodeport --type=merge -p '{"spec":{"type":"ClusterIP"}}'`)
	g.types("kubectl get svc toad-nodeport -o yaml")
	g.types("kubectl apply -f toad-nodeport.yaml")
	g.types("kubectl get svc toad-nodeport -o wide")
	g.types("kubectl delete -f toad-nodeport.yaml")
	g.types("kubectl get svc")
}

// toadLoadBalancer gets an external address in its status.
func toadLoadBalancer(g guide) {
	g.types("kubectl create -f toad-svc-loadbalancer.yaml")
	g.settles("toad-svc")
	g.types("kubectl get svc toad-svc")
	g.types("kubectl describe svc toad-svc")
	g.types("kubectl get svc toad-svc -o yaml")
	g.types(`kubectl patch svc toad-svc --subresource=status --type=merge -p '{"status":{"loadBalancer":{"ingress":[{"ip":"130.211.53.173"}]}}}'`)
	g.types("kubectl get svc toad-svc")
	g.types("kubectl wait svc/toad-svc --for=jsonpath='{.status.loadBalancer.ingress[0].ip}'=130.211.53.173")
	g.types("kubectl describe svc toad-svc")
	g.types("kubectl get svc toad-svc -o yaml")
	g.types(`kubectl patch svc toad-svc -p '{"spec":{"externalTrafficPolicy":"Local"}}'`)
	g.types("kubectl describe svc toad-svc")
	g.types("kubectl get svc toad-svc -o yaml")
	g.types("kubectl apply -f toad-svc.yaml")
	g.types("kubectl describe svc toad-svc")
	g.types("kubectl delete -f toad-svc-loadbalancer.yaml")
}
