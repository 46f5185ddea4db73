package conformance

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"
)

func services() behaviors {
	return behaviors{
		"status":                   statusOfAService,
		"deletion of a collection": collectionOfServices,
		"the server's own":         serviceOfTheServer,
		"fields to select by":      fieldsOfServices,
		"changes of type":          changesOfType,
		"changes of ports":         changesOfPorts,
		"a node port twice":        nodePortTwice,
		"a node port out of range": nodePortOutOfRange,
		"a node port is released":  nodePortIsReleased,
		"one port, two protocols":  onePortTwoProtocols,
		"the health check's port":  healthCheckPort,
		"session affinity":         sessionAffinity,
		"a stale PUT":              staleUpdate,
		"dry runs":                 dryRuns,
	}
}

func (f *fixture) services() clientcorev1.ServiceInterface {
	return f.client.CoreV1().Services(f.namespace)
}

func newService(name string, changes ...func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(9376)}}},
	}
	for _, change := range changes {
		change(svc)
	}
	return svc
}

func ofType(kind corev1.ServiceType) func(*corev1.Service) {
	return func(svc *corev1.Service) { svc.Spec.Type = kind }
}

func (f *fixture) createService(svc *corev1.Service) *corev1.Service {
	f.Helper()
	made, err := f.services().Create(f.Context(), svc, metav1.CreateOptions{})
	f.ok("create", err)
	return made
}

// updateService reads a Service, changes and writes it, as clients do.
func (f *fixture) updateService(name string, change func(*corev1.Service)) *corev1.Service {
	f.Helper()
	svc, err := f.services().Get(f.Context(), name, metav1.GetOptions{})
	f.ok("get", err)
	change(svc)
	svc, err = f.services().Update(f.Context(), svc, metav1.UpdateOptions{})
	f.ok("update", err)
	return svc
}

// statusOfAService: "should complete a service status lifecycle".
func statusOfAService(f *fixture) {
	ctx := f.Context()
	in := f.watching(f.services().Watch(ctx, metav1.ListOptions{LabelSelector: "static=true"}))
	svc := newService("web", ofType(corev1.ServiceTypeLoadBalancer))
	svc.Labels = map[string]string{"static": "true"}
	svc.Spec.LoadBalancerClass = ptr.To("example.com/internal-vip")
	f.createService(svc)
	f.next(in, watch.Added)

	resource := f.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(f.namespace)
	status, err := resource.Get(ctx, "web", metav1.GetOptions{}, "status")
	f.ok("get the status", err)
	if status.GetKind() != "Service" || status.GetName() != "web" {
		f.Errorf("the status is of %s %s", status.GetKind(), status.GetName())
	}
	patch := `{"metadata":{"annotations":{"patched":"true"}},"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.1"}]}}}`
	_, err = f.services().Patch(ctx, "web", types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	f.ok("patch the status", err)
	seen := f.next(in, watch.Modified).(*corev1.Service)
	if seen.Annotations["patched"] != "true" || seen.Status.LoadBalancer.Ingress[0].IP != "203.0.113.1" {
		f.Errorf("patched to %+v", seen)
	}
	condition := metav1.Condition{Type: "StatusUpdate", Status: metav1.ConditionTrue, Reason: "E2E", Message: "Set from a test"}
	seen.Status.Conditions = append(seen.Status.Conditions, condition)
	seen.Spec.Ports[0].Port = 81
	_, err = f.services().UpdateStatus(ctx, seen, metav1.UpdateOptions{})
	f.ok("update the status", err)
	seen = f.next(in, watch.Modified).(*corev1.Service)
	if len(seen.Status.Conditions) != 1 || seen.Status.Conditions[0].Message != condition.Message || seen.Spec.Ports[0].Port != 80 {
		f.Errorf("updated to %+v", seen)
	}
	_, err = f.services().Patch(ctx, "web", types.StrategicMergePatchType,
		[]byte(`{"metadata":{"labels":{"service":"patched"}},"status":{"conditions":[]}}`), metav1.PatchOptions{})
	f.ok("patch", err)
	seen = f.next(in, watch.Modified).(*corev1.Service)
	if seen.Labels["service"] != "patched" || seen.Labels["static"] != "true" || len(seen.Status.Conditions) != 1 {
		f.Errorf("patched to %+v", seen)
	}
	f.ok("delete", f.services().Delete(ctx, "web", metav1.DeleteOptions{}))
	f.next(in, watch.Deleted)
}

// collectionOfServices: "should delete a collection of services".
func collectionOfServices(f *fixture) {
	for i, label := range []string{"delete", "delete", "keep"} {
		f.createService(newService(fmt.Sprint("s", i), func(svc *corev1.Service) { svc.Labels = map[string]string{"which": label} }))
	}
	resource := f.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(f.namespace)
	f.ok("delete", resource.DeleteCollection(f.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "which=delete"}))
	list, err := f.services().List(f.Context(), metav1.ListOptions{})
	f.ok("list", err)
	if len(list.Items) != 1 || list.Items[0].Name != "s2" {
		f.Errorf("left are %+v", list.Items)
	}
}

// serviceOfTheServer: "should provide secure master service", "should find a
// service from listing all namespaces" and "should have Endpoints and
// EndpointSlices pointing to API Server".
func serviceOfTheServer(f *fixture) {
	ctx := f.Context()
	list, err := f.client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	f.ok("list", err)
	var found *corev1.Service
	for i := range list.Items {
		if list.Items[i].Name == "kubernetes" && list.Items[i].Namespace == "default" {
			found = &list.Items[i]
		}
	}
	if found == nil || len(found.Spec.Ports) != 1 || found.Spec.Ports[0].Name != "https" || found.Spec.Ports[0].Port != 443 {
		f.Fatalf("the server's own is %+v", found)
	}
	endpoints, err := f.client.CoreV1().Endpoints("default").Get(ctx, "kubernetes", metav1.GetOptions{})
	f.ok("get Endpoints", err)
	slices, err := f.client.DiscoveryV1().EndpointSlices("default").List(ctx,
		metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=kubernetes"})
	f.ok("list slices", err)
	if len(endpoints.Subsets) != 1 || len(slices.Items) != 1 {
		f.Fatalf("its endpoints are %+v and %+v", endpoints, slices.Items)
	}
	subset, slice := endpoints.Subsets[0], slices.Items[0]
	if subset.Addresses[0].IP != advertised || slice.Endpoints[0].Addresses[0] != advertised ||
		subset.Ports[0].Name != "https" || *slice.Ports[0].Name != "https" || *slice.Ports[0].Port != subset.Ports[0].Port {
		f.Errorf("its endpoints are %+v and %+v", subset, slice)
	}
}

// fieldsOfServices are the fields that kubectl and controllers select Services
// by.
func fieldsOfServices(f *fixture) {
	a := f.createService(newService("a", ofType(corev1.ServiceTypeNodePort)))
	f.createService(newService("b", func(svc *corev1.Service) { svc.Spec.ClusterIP = corev1.ClusterIPNone }))
	for selector, want := range map[string]string{
		"metadata.name=b": "b", "spec.type=NodePort": "a", "spec.type!=NodePort": "b", "spec.clusterIP=None": "b",
		"spec.clusterIP=" + a.Spec.ClusterIP: "a", "metadata.namespace=" + f.namespace + ",metadata.name=a": "a",
	} {
		list, err := f.services().List(f.Context(), metav1.ListOptions{FieldSelector: selector})
		if err != nil || len(list.Items) != 1 || list.Items[0].Name != want {
			f.Errorf("%s: got %+v, error %v, want %s", selector, list, err, want)
		}
	}
	_, err := f.services().List(f.Context(), metav1.ListOptions{FieldSelector: "spec.ports=80"})
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "field label not supported: spec.ports") {
		f.Errorf("an unknown field: %v", err)
	}
}

// staleUpdate: optimistic locking, as the API conventions define it.
func staleUpdate(f *fixture) {
	ctx := f.Context()
	made := f.createService(newService("web"))
	f.updateService("web", func(svc *corev1.Service) { svc.Labels = map[string]string{"a": "b"} })
	made.Spec.Ports[0].Port = 81
	_, err := f.services().Update(ctx, made, metav1.UpdateOptions{})
	if !apierrors.IsConflict(err) ||
		!strings.Contains(err.Error(), "the object has been modified; please apply your changes to the latest version and try again") {
		f.Errorf("a stale PUT: %v", err)
	}
	made.ResourceVersion = ""
	made, err = f.services().Update(ctx, made, metav1.UpdateOptions{})
	if err != nil || made.Spec.Ports[0].Port != 81 || made.Labels != nil {
		f.Errorf("a PUT at no version: %+v, error %v", made, err)
	}
	err = f.services().Delete(ctx, "web", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: ptr.To("1")}})
	if !apierrors.IsConflict(err) {
		f.Errorf("a DELETE at another version: %v", err)
	}
	err = f.services().Delete(ctx, "web", *metav1.NewPreconditionDeleteOptions("another"))
	if !apierrors.IsConflict(err) {
		f.Errorf("a DELETE of another UID: %v", err)
	}
	f.ok("delete", f.services().Delete(ctx, "web", *metav1.NewPreconditionDeleteOptions(string(made.UID))))
}

// dryRuns answer like the real request.
func dryRuns(f *fixture) {
	ctx, all := f.Context(), []string{metav1.DryRunAll}
	tried, err := f.services().Create(ctx, newService("web"), metav1.CreateOptions{DryRun: all})
	if err != nil || tried.UID == "" || tried.Spec.ClusterIP == "" {
		f.Fatalf("tried %+v, error %v", tried, err)
	}
	if _, err := f.services().Get(ctx, "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		f.Errorf("after a dry run: %v", err)
	}
	made := f.createService(newService("web"))
	patched, err := f.services().Patch(ctx, "web", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
		metav1.PatchOptions{DryRun: all})
	if err != nil || patched.Labels["a"] != "b" {
		f.Errorf("patched %+v, error %v", patched, err)
	}
	f.ok("delete", f.services().Delete(ctx, "web", metav1.DeleteOptions{DryRun: all}))
	resource := f.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(f.namespace)
	f.ok("delete all", resource.DeleteCollection(ctx, metav1.DeleteOptions{DryRun: all}, metav1.ListOptions{}))
	if now, err := f.services().Get(ctx, "web", metav1.GetOptions{}); err != nil || now.ResourceVersion != made.ResourceVersion {
		f.Errorf("after dry runs it is %+v, error %v", now, err)
	}
	_, err = f.services().Create(ctx, newService("x"), metav1.CreateOptions{DryRun: []string{"Some"}})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `dryRun: Unsupported value: ["Some"]: supported values: "All"`) {
		f.Errorf("an unknown dry run: %v", err)
	}
}
