//go:build e2e

package conformance

import (
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestKubernetes tests a kube-apiserver, with the controllers of
// kube-controller-manager that Portolan has as well.
func TestKubernetes(t *testing.T) {
	kube := framework.StartKube(t, "--service-cluster-ip-range="+range4+","+range6,
		"--advertise-address="+advertised, "--endpoint-reconciler-type=lease")
	framework.StartControllers(t, kube, framework.EndpointControllers, framework.DeletionControllers, "service-cidr-controller")
	run(t, server{kube.Config, framework.ConnectEtcd(t, kube.EtcdURL), false})
}
