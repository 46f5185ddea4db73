//go:build e2e

package guides

import "fmt"

// expose creates Services from a Pod and from a Service.
func expose(g guide) {
	g.types("kubectl create -f pods.yaml")
	g.types("kubectl expose pod toad-1")
	g.types("kubectl get svc toad-1 -o yaml")
	g.types("kubectl expose pod toad-1 --name=toad-svc --port=80 --target-port=8080")
	g.types("kubectl expose pod toad-1 --name=toad-nodeport --port=80 --target-port=http --type=NodePort --labels=tier=front")
	g.types("kubectl expose pod toad-1 --name=toad-loadbalancer --port=80 --type=LoadBalancer --session-affinity=ClientIP --load-balancer-ip=192.0.2.100")
	g.fails("kubectl expose pod toad-1 --name=toad-external --port=80 --external-ip=192.0.2.101")
	g.types("kubectl expose pod toad-1 --name=toad-static --port=80 --cluster-ip=10.96.100.140")
	g.types("kubectl expose pod toad-1 --name=toad-headless --port=80 --cluster-ip=None")
	g.types("kubectl expose pod toad-1 --name=toad-udp --port=53 --protocol=UDP")
	g.types("kubectl expose service toad-svc --name=toad-tls --port=443 --target-port=8443")
	g.types("kubectl expose svc toad-svc --name=toad-dry --port=8080 --dry-run=client -o yaml")
	g.types("kubectl get svc -o wide")
	g.types("kubectl get svc -o yaml")
	g.fails("kubectl expose pod toad-1 --name=toad-svc --port=80")
	g.fails("kubectl expose pod toad-3 --port=80")
	g.fails("kubectl expose service toad-none --port=80")
	g.fails("kubectl expose pod toad-1 --name=Toad --port=80")
	g.fails("kubectl expose pod toad-1 --name=toad-port --port=123456")
	g.fails("kubectl expose pod toad-1 --name=toad-ip --port=80 --cluster-ip=10.96.100.140", holder("expose/toad-static"))
	g.fails("kubectl expose pod toad-1 --name=toad-ip --port=80 --cluster-ip=192.0.2.1")
	g.types("kubectl delete svc --all")
	g.types("kubectl delete pods --all --force")
}

// createService creates a Service of each type.
func createService(g guide) {
	g.types("kubectl create service clusterip toad-svc --tcp=80:8080")
	g.types("kubectl create service clusterip toad-ports --tcp=80:8080 --tcp=443:8443")
	g.types("kubectl create service clusterip toad-named --tcp=80:http")
	g.types("kubectl create service clusterip toad-headless --clusterip=None")
	g.types("kubectl create service clusterip toad-static --tcp=80 --clusterip=10.96.100.141")
	g.types("kubectl create service nodeport toad-nodeport --tcp=80:8080 --node-port=30001")
	g.types("kubectl create service nodeport toad-any --tcp=80:8080")
	g.types("kubectl create service loadbalancer toad-loadbalancer --tcp=80:8080")
	g.types("kubectl create service externalname external-service --external-name=someapi.somecompany.com")
	g.types("kubectl create service externalname external-port --external-name=someapi.somecompany.com --tcp=80")
	g.types("kubectl get svc")
	g.types("kubectl get svc -o yaml")
	for _, service := range []string{"toad-svc", "toad-ports", "toad-headless", "toad-nodeport", "toad-loadbalancer"} {
		g.settles(service)
		g.types("kubectl describe svc " + service)
	}
	g.types("kubectl describe svc external-service")
	g.types("kubectl create service clusterip toad-dry --tcp=80 --dry-run=client -o yaml")
	g.fails("kubectl create service clusterip toad-svc --tcp=80:8080")
	g.fails("kubectl create service clusterip toad-none")
	g.fails("kubectl create service clusterip toad-svc --tcp=80:none_such")
	g.fails("kubectl create service clusterip toad-ip --tcp=80 --clusterip=10.96.100.141", holder("create-service/toad-static"))
	g.fails("kubectl create service clusterip toad-ip --tcp=80 --clusterip=10.96.100.128")
	g.fails("kubectl create service clusterip toad-ip --tcp=80 --clusterip=ten")
	g.fails("kubectl create service nodeport toad-port --tcp=80 --node-port=30001", holder("create-service/toad-nodeport"))
	g.fails("kubectl create service externalname external --external-name=some_api")
	g.fails("kubectl create service clusterip toad-elsewhere --tcp=80 --namespace=none-such")
	g.types("kubectl delete svc toad-svc toad-ports")
	g.types("kubectl delete svc -l app=toad-any")
	g.types("kubectl delete svc --all")
	g.types("kubectl get svc")
}

// edit changes a Service in an editor, and in all other ways.
func edit(g guide) {
	edits := func(script string) string {
		return fmt.Sprintf(`KUBE_EDITOR="sed -i '%s'" kubectl edit svc toad-svc`, script)
	}
	g.types("kubectl apply -f toad-svc.yaml")
	g.types(edits("s/port: 80$/port: 8000/"))
	g.types("kubectl get svc toad-svc -o yaml")
	g.types(edits("s/type: ClusterIP/type: NodePort/"))
	g.types("kubectl get svc toad-svc")
	g.types(edits("s/nothing of the kind/nothing else/"))
	g.fails(edits(`s/10\.96\.100\.\([0-9]*\)/10.96.100.142/`))
	g.fails(edits("s/port: 8000$/port: 80000/"))
	g.fails(edits("s/port: 8000$/name: Not_A_Name/"))
	g.fails(edits("s/sessionAffinity: None/sessionAffinity: Some/"))
	g.types("kubectl annotate svc toad-svc example.com/owner=toads")
	g.fails("kubectl annotate svc toad-svc example.com/owner=frogs")
	g.types("kubectl annotate svc toad-svc example.com/owner=frogs --overwrite")
	g.types("kubectl label svc toad-svc tier=front")
	g.fails("kubectl label svc toad-svc tier=not/a/value --overwrite")
	g.types("kubectl get svc -L tier,app")
	g.types("kubectl annotate svc toad-svc example.com/owner-")
	g.types(`kubectl set selector svc toad-svc "app=toad,tier=front"`)
	g.types(`kubectl patch svc toad-svc -p '{"spec":{"ports":[{"port":443,"name":"https"},{"port":8000,"name":"http"}]}}'`)
	g.types(`kubectl patch svc toad-svc --type=json -p '[{"op":"remove","path":"/spec/ports/0"}]'`)
	g.fails(`kubectl patch svc toad-svc --type=json -p '[{"op":"remove","path":"/spec/ports/7"}]'`)
	g.fails(`kubectl patch svc toad-svc --type=merge -p '{"spec":{"clusterIP":"10.96.100.142"}}'`)
	g.fails(`kubectl patch svc toad-svc --type=merge -p '{"spec":{"clusterIP":null,"clusterIPs":null}}' --subresource=scale`)
	g.fails(`kubectl patch svc toad-svc -p '{"spec":{"ports":[{"port":0}]}}'`)
	g.types(`kubectl patch svc toad-svc -p '{"spec":{"type":"ClusterIP"}}'`)
	g.types(`kubectl patch svc toad-svc -p '{"spec":{"type":"ClusterIP"}}'`)
	g.types("kubectl get svc toad-svc -o yaml")
	g.types("kubectl apply view-last-applied svc toad-svc")
	g.types("kubectl get svc toad-svc -o yaml > now.yaml && kubectl replace -f now.yaml")
	g.types("kubectl replace -f toad-two-ports.yaml")
	g.types("kubectl replace --force -f toad-svc.yaml")
	g.types("kubectl delete svc toad-svc toad")
	g.fails("kubectl delete svc toad-svc")
	g.fails(edits("s/a/b/"))
}

// serverSide applies the manifests with server-side apply.
func serverSide(g guide) {
	g.types("kubectl apply --server-side -f toad-svc.yaml")
	g.types("kubectl get svc toad-svc -o yaml --show-managed-fields")
	g.types("kubectl apply --server-side -f toad-svc.yaml")
	g.types("kubectl apply --server-side --field-manager=another -f toad-svc-affinity.yaml")
	g.types(`kubectl patch svc toad-svc -p '{"spec":{"sessionAffinity":"None"}}'`)
	g.fails("kubectl apply --server-side --field-manager=another -f toad-svc-affinity.yaml")
	g.types("kubectl diff --server-side --field-manager=another --force-conflicts -f toad-svc-affinity.yaml; test $? = 1")
	g.types("kubectl apply --server-side --field-manager=another --force-conflicts -f toad-svc-affinity.yaml")
	g.types("kubectl get svc toad-svc -o yaml --show-managed-fields")
	g.types("kubectl apply --server-side --dry-run=server -f toad-svc-affinity.yaml")
	g.types("kubectl apply --server-side -f external-endpoints.yaml -f external-endpointslices.yaml -f pods.yaml")
	g.types("kubectl get endpoints external-service -o yaml --show-managed-fields")
	g.types("kubectl get endpointslice external-database-1 -o yaml --show-managed-fields")
	g.types("kubectl delete endpointslice external-database-1")
	g.types("kubectl delete endpoints external-service")
	g.types("kubectl delete pods --all --force")
	g.types("kubectl delete svc --all")
}

// refused creates objects from manifests with mistakes.
func refused(g guide) {
	const from = "cat toad-svc.yaml | sed '%s' | kubectl create -f -"
	for _, mistake := range []string{
		"s/port: 80$/port: 80a/",
		"s/port: 80$/port: 0/",
		"s/port: 80$/name: HTTP\\n    port: 80/",
		"s/targetPort: 8080/targetPort: not-the-name-of-a-port/",
		"s/targetPort: 8080/protcol: UDP/",
		"s/targetPort: 8080/protocol: HTTP/",
		"s/name: toad-svc/name: toad.svc/",
		"s/name: toad-svc/namespace: none-such\\n  name: toad-svc/",
		"s/apiVersion: v1/apiVersion: v2/",
		"s/app: toad/app: to ad/",
		"s/^spec:/spec:\\n  type: Balancer/",
		"s/^spec:/spec:\\n  type: ExternalName/",
		"s/^spec:/spec:\\n  clusterIP: None\\n  type: NodePort/",
		"s/^spec:/spec:\\n  externalTrafficPolicy: Local/",
		"s/^spec:/spec:\\n  ipFamilyPolicy: RequireDualStack/",
		"s/^spec:/spec:\\n  ipFamilies: [IPv6]/",
		"s/^spec:/spec:\\n  loadBalancerSourceRanges: [1.2.3.4]/",
		"s/^  ports:/  sessionAffinity: ClientIP\\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}\\n  ports:/",
		"s/^  ports:/  ports:\\n  - port: 80/",
	} {
		g.fails(fmt.Sprintf(from, mistake))
	}
	g.fails("sed 's/ip: 11.11.11.11/ip: 127.0.0.1/' external-service-endpoints.yaml | kubectl create -f -")
	g.fails("sed 's/port: 80/port: 70000/' external-service-endpoints.yaml | kubectl create -f -")
	g.fails("sed 's/addressType: IPv4/addressType: IPv5/' external-endpointslices.yaml | kubectl create -f -")
	g.fails("sed 's/- 11.11.11.11/- 11.11.11/' external-endpointslices.yaml | kubectl create -f -")
	g.fails(fmt.Sprintf(from, "s/kind: Service/kind: Servise/"))
	g.fails("kubectl get svc,endpoints none-such")
	g.fails("kubectl get servises")
	g.fails("kubectl describe svc none-such")
	g.fails("kubectl create -f none-such.yaml")
}
