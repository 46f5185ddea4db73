// Package integration is the family of tests of Portolan alone.
//
//	api          what requests do: claims, races, watches, namespaces, Secrets, …
//	clientset    the generated clients
//	controllers  the controllers, with Pods in a fake clientset
//	defects      what kube-apiserver does badly with Services and Portolan does not
//	hostile      requests that no well-meaning client would send
//	operation    help, errors and logs of the command portolan, metrics, the dashboard and the alerts
//	users        who is known to a standalone server, and what they may do
//
// One test is tagged e2e: it proves that kube-apiserver rejects the same hostile
// requests.
package integration
