// Package defects has a test for each thing that kube-apiserver 1.36 does badly
// with Services and that this server does right. They are numbered; where the
// two servers are compared, a difference names its number (test/differential/replay).
//
//	C1   An update releases and takes values before it is written: a conflict
//	     leaves them with nobody, or with two.
//	C2   A PUT of the status of a Service that is not there creates it, with
//	     whatever addresses it names.
//	C3   An ExternalName Service with a node port frees it, for another, when it
//	     is deleted.
//	C4   Two spellings of an IPv6 address are two claims.
//	C5   A create of a name that exists is rejected because its own values are taken.
//	C6   Addresses and ranges in use can be deleted, and are handed out again.
//	C7   Requests that are refused write to etcd.
//	C8   A dual-stack Service that can't have its second address keeps the first.
//	C9   Dry runs answer with values that nobody could have, and accept what a
//	     real request would not get.
//	C10  What an update may do with node ports, a create may not.
//	C11  Loops repair the store, minutes later, and report what is no fault.
//	C12  The status subresource shows old Services without their families.
//	C13  The error for a Service without a name has an address that it didn't ask for.
//	C14  A full range, and a health check port that can't be had, are a 500.
//	C15  Servers that are set up with different ranges fail.
//	C16  ServiceCIDRs are accepted from which nothing can be allocated.
//	C17  A Service costs a write for each of its ports, and each one gets slower
//	     the more Services there are.
//	C18  A strategic merge patch drops a protocol of a port, silently.
//	C19  A port that is renamed gets another node port.
//	C20  Ports of EndpointSlices, conditions and ports of load balancers can be
//	     anything.
//	C21  No error names the holder of a value that is taken, and the table of
//	     IPAddresses has a column without a name.
//	C22  Metrics of ranges are missing or wrong until something is allocated.
//	C23  Nothing in the API says how full a range is, or what holds a port.
//	C24  There is one range of node ports.
//	C26  What goes with a Service goes later, or never.
//	C27  An object too large for etcd is a 500.
//	C28  Errors of the allocators that nobody expected panic.
//
// C25 is about the controllers of load balancers, which are not here.
package defects

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	clientv1 "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

var dryRun = []string{metav1.DryRunAll}

// fixture is a server on an etcd that the test can look into.
type fixture struct {
	*testing.T
	store *framework.Etcd
	*framework.Server
	services clientv1.ServiceInterface
}

// start runs a server with two families and a hundred node ports.
func start(t *testing.T, change ...func(*options.Options)) fixture {
	t.Parallel()
	store, servers := framework.Replicas(t, 1, func(o *options.Options) {
		o.ClusterIPRanges = []string{"10.96.0.0/24", "fd00:10:96::/112"}
		o.NodePortRanges = []string{"30000-30099"}
		for _, change := range change {
			change(o)
		}
	})
	t.Cleanup(func() { framework.Verify(t, store.Client) })
	return fixture{t, store, servers[0], servers[0].Client.PortolanV1().Services("default")}
}

type change func(*v1.Service)

func newService(name string, changes ...change) *v1.Service {
	svc := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	for _, change := range changes {
		change(svc)
	}
	return svc
}

func ofType(kind corev1.ServiceType) change {
	return func(svc *v1.Service) { svc.Spec.Type = kind }
}

func at(addresses ...string) change {
	return func(svc *v1.Service) {
		svc.Spec.ClusterIP, svc.Spec.ClusterIPs = addresses[0], addresses
		if len(addresses) > 1 {
			policy := corev1.IPFamilyPolicyRequireDualStack
			svc.Spec.IPFamilyPolicy = &policy
		}
	}
}

// onPort makes a NodePort Service; 0 leaves the port open.
func onPort(nodePort int32) change {
	return func(svc *v1.Service) {
		svc.Spec.Type = corev1.ServiceTypeNodePort
		svc.Spec.Ports[0].NodePort = nodePort
	}
}

func local(svc *v1.Service) {
	svc.Spec.Type = corev1.ServiceTypeLoadBalancer
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}

func (w fixture) create(svc *v1.Service) *v1.Service {
	w.Helper()
	created, err := w.services.Create(w.Context(), svc, metav1.CreateOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return created
}

// refused wants a create to be a 422, the same as a dry run and for real, whose
// text has all the parts.
func (w fixture) refused(svc *v1.Service, parts ...string) {
	w.Helper()
	for _, dry := range [][]string{dryRun, nil} {
		_, err := w.services.Create(w.Context(), svc.DeepCopy(), metav1.CreateOptions{DryRun: dry})
		w.expect(fmt.Sprintf("create of %s (dry run: %t)", svc.Name, dry != nil), err, apierrors.IsInvalid, parts...)
	}
}

func (w fixture) expect(what string, err error, kind func(error) bool, parts ...string) {
	w.Helper()
	if !kind(err) {
		w.Errorf("%s: got %v", what, err)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			w.Errorf("%s: %q is not in %v", what, part, err)
		}
	}
}

// storeService puts a Service into the store as it is, past the server.
func (w fixture) storeService(svc *v1.Service) {
	w.Helper()
	svc.APIVersion, svc.Kind, svc.ResourceVersion = v1.SchemeGroupVersion.String(), "Service", ""
	data, err := json.Marshal(svc)
	if err != nil {
		w.Fatal(err)
	}
	key := "/registry/portolan.dev/services/" + svc.Namespace + "/" + svc.Name
	if _, err := w.store.Client.Put(w.Context(), key, string(data)); err != nil {
		w.Fatal(err)
	}
}

// restart starts a server that has been stopped. Another one would publish its own
// certificate authority.
func restart(w fixture) *framework.Server {
	w.Helper()
	return framework.Start(w.T, func(o *options.Options) {
		w.Again(w.T)(o)
		framework.On(w.store)(o)
	})
}

// writes are how many revisions the store advances by.
func (w fixture) writes(do func()) int64 {
	w.Helper()
	before := w.revision()
	do()
	return w.revision() - before
}

func (w fixture) revision() int64 {
	w.Helper()
	response, err := w.store.Client.Get(context.Background(), "none")
	if err != nil {
		w.Fatal(err)
	}
	return response.Header.Revision
}
