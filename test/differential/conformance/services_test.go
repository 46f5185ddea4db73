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
		"status":                       statusOfAService,
		"deletion of a collection":     collectionOfServices,
		"the server's own":             serviceOfTheServer,
		"fields to select by":          fieldsOfServices,
		"changes of type":              changesOfType,
		"changes of ports":             changesOfPorts,
		"a node port twice":            nodePortTwice,
		"a node port out of range":     nodePortOutOfRange,
		"a node port is released":      nodePortIsReleased,
		"one port, two protocols":      onePortTwoProtocols,
		"the health check's port":      healthCheckPort,
		"session affinity":             sessionAffinity,
		"a PUT of what others changed": staleUpdate,
		"dry runs":                     dryRuns,
	}
}

func (w *world) services() clientcorev1.ServiceInterface {
	return w.client.CoreV1().Services(w.namespace)
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

func (w *world) createService(svc *corev1.Service) *corev1.Service {
	w.Helper()
	made, err := w.services().Create(w.Context(), svc, metav1.CreateOptions{})
	w.ok("create", err)
	return made
}

// updateService does what clients do that read, change and write.
func (w *world) updateService(name string, change func(*corev1.Service)) *corev1.Service {
	w.Helper()
	svc, err := w.services().Get(w.Context(), name, metav1.GetOptions{})
	w.ok("get", err)
	change(svc)
	svc, err = w.services().Update(w.Context(), svc, metav1.UpdateOptions{})
	w.ok("update", err)
	return svc
}

// statusOfAService: "should complete a service status lifecycle".
func statusOfAService(w *world) {
	ctx := w.Context()
	in := w.watching(w.services().Watch(ctx, metav1.ListOptions{LabelSelector: "static=true"}))
	svc := newService("web", ofType(corev1.ServiceTypeLoadBalancer))
	svc.Labels = map[string]string{"static": "true"}
	svc.Spec.LoadBalancerClass = ptr.To("example.com/internal-vip")
	w.createService(svc)
	w.next(in, watch.Added)

	resource := w.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(w.namespace)
	status, err := resource.Get(ctx, "web", metav1.GetOptions{}, "status")
	w.ok("get the status", err)
	if status.GetKind() != "Service" || status.GetName() != "web" {
		w.Errorf("the status is of %s %s", status.GetKind(), status.GetName())
	}
	patch := `{"metadata":{"annotations":{"patched":"true"}},"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.1"}]}}}`
	_, err = w.services().Patch(ctx, "web", types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	w.ok("patch the status", err)
	seen := w.next(in, watch.Modified).(*corev1.Service)
	if seen.Annotations["patched"] != "true" || seen.Status.LoadBalancer.Ingress[0].IP != "203.0.113.1" {
		w.Errorf("patched to %+v", seen)
	}
	condition := metav1.Condition{Type: "StatusUpdate", Status: metav1.ConditionTrue, Reason: "E2E", Message: "Set from a test"}
	seen.Status.Conditions = append(seen.Status.Conditions, condition)
	seen.Spec.Ports[0].Port = 81
	_, err = w.services().UpdateStatus(ctx, seen, metav1.UpdateOptions{})
	w.ok("update the status", err)
	seen = w.next(in, watch.Modified).(*corev1.Service)
	if len(seen.Status.Conditions) != 1 || seen.Status.Conditions[0].Message != condition.Message || seen.Spec.Ports[0].Port != 80 {
		w.Errorf("updated to %+v", seen)
	}
	_, err = w.services().Patch(ctx, "web", types.StrategicMergePatchType,
		[]byte(`{"metadata":{"labels":{"service":"patched"}},"status":{"conditions":[]}}`), metav1.PatchOptions{})
	w.ok("patch", err)
	seen = w.next(in, watch.Modified).(*corev1.Service)
	if seen.Labels["service"] != "patched" || seen.Labels["static"] != "true" || len(seen.Status.Conditions) != 1 {
		w.Errorf("patched to %+v", seen)
	}
	w.ok("delete", w.services().Delete(ctx, "web", metav1.DeleteOptions{}))
	w.next(in, watch.Deleted)
}

// collectionOfServices: "should delete a collection of services".
func collectionOfServices(w *world) {
	for i, label := range []string{"delete", "delete", "keep"} {
		w.createService(newService(fmt.Sprint("s", i), func(svc *corev1.Service) { svc.Labels = map[string]string{"which": label} }))
	}
	resource := w.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(w.namespace)
	w.ok("delete", resource.DeleteCollection(w.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "which=delete"}))
	list, err := w.services().List(w.Context(), metav1.ListOptions{})
	w.ok("list", err)
	if len(list.Items) != 1 || list.Items[0].Name != "s2" {
		w.Errorf("left are %+v", list.Items)
	}
}

// serviceOfTheServer: "should provide secure master service", "should find a
// service from listing all namespaces" and "should have Endpoints and
// EndpointSlices pointing to API Server".
func serviceOfTheServer(w *world) {
	ctx := w.Context()
	list, err := w.client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	w.ok("list", err)
	var found *corev1.Service
	for i := range list.Items {
		if list.Items[i].Name == "kubernetes" && list.Items[i].Namespace == "default" {
			found = &list.Items[i]
		}
	}
	if found == nil || len(found.Spec.Ports) != 1 || found.Spec.Ports[0].Name != "https" || found.Spec.Ports[0].Port != 443 {
		w.Fatalf("the server's own is %+v", found)
	}
	endpoints, err := w.client.CoreV1().Endpoints("default").Get(ctx, "kubernetes", metav1.GetOptions{})
	w.ok("get Endpoints", err)
	slices, err := w.client.DiscoveryV1().EndpointSlices("default").List(ctx,
		metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=kubernetes"})
	w.ok("list slices", err)
	if len(endpoints.Subsets) != 1 || len(slices.Items) != 1 {
		w.Fatalf("its endpoints are %+v and %+v", endpoints, slices.Items)
	}
	subset, slice := endpoints.Subsets[0], slices.Items[0]
	if subset.Addresses[0].IP != advertised || slice.Endpoints[0].Addresses[0] != advertised ||
		subset.Ports[0].Name != "https" || *slice.Ports[0].Name != "https" || *slice.Ports[0].Port != subset.Ports[0].Port {
		w.Errorf("its endpoints are %+v and %+v", subset, slice)
	}
}

// fieldsOfServices are those that kubectl and controllers select Services by.
func fieldsOfServices(w *world) {
	a := w.createService(newService("a", ofType(corev1.ServiceTypeNodePort)))
	w.createService(newService("b", func(svc *corev1.Service) { svc.Spec.ClusterIP = corev1.ClusterIPNone }))
	for selector, want := range map[string]string{
		"metadata.name=b": "b", "spec.type=NodePort": "a", "spec.type!=NodePort": "b", "spec.clusterIP=None": "b",
		"spec.clusterIP=" + a.Spec.ClusterIP: "a", "metadata.namespace=" + w.namespace + ",metadata.name=a": "a",
	} {
		list, err := w.services().List(w.Context(), metav1.ListOptions{FieldSelector: selector})
		if err != nil || len(list.Items) != 1 || list.Items[0].Name != want {
			w.Errorf("%s: got %+v, error %v, want %s", selector, list, err, want)
		}
	}
	_, err := w.services().List(w.Context(), metav1.ListOptions{FieldSelector: "spec.ports=80"})
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "field label not supported: spec.ports") {
		w.Errorf("a field that is none: %v", err)
	}
}

// staleUpdate: optimistic locking, as API conventions have it.
func staleUpdate(w *world) {
	ctx := w.Context()
	made := w.createService(newService("web"))
	w.updateService("web", func(svc *corev1.Service) { svc.Labels = map[string]string{"a": "b"} })
	made.Spec.Ports[0].Port = 81
	_, err := w.services().Update(ctx, made, metav1.UpdateOptions{})
	if !apierrors.IsConflict(err) ||
		!strings.Contains(err.Error(), "the object has been modified; please apply your changes to the latest version and try again") {
		w.Errorf("a stale PUT: %v", err)
	}
	made.ResourceVersion = ""
	made, err = w.services().Update(ctx, made, metav1.UpdateOptions{})
	if err != nil || made.Spec.Ports[0].Port != 81 || made.Labels != nil {
		w.Errorf("a PUT at no version: %+v, error %v", made, err)
	}
	err = w.services().Delete(ctx, "web", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: ptr.To("1")}})
	if !apierrors.IsConflict(err) {
		w.Errorf("a DELETE at another version: %v", err)
	}
	err = w.services().Delete(ctx, "web", *metav1.NewPreconditionDeleteOptions("another"))
	if !apierrors.IsConflict(err) {
		w.Errorf("a DELETE of another UID: %v", err)
	}
	w.ok("delete", w.services().Delete(ctx, "web", *metav1.NewPreconditionDeleteOptions(string(made.UID))))
}

// dryRuns answer as if something had been done.
func dryRuns(w *world) {
	ctx, all := w.Context(), []string{metav1.DryRunAll}
	tried, err := w.services().Create(ctx, newService("web"), metav1.CreateOptions{DryRun: all})
	if err != nil || tried.UID == "" || tried.Spec.ClusterIP == "" {
		w.Fatalf("tried %+v, error %v", tried, err)
	}
	if _, err := w.services().Get(ctx, "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		w.Errorf("after a dry run: %v", err)
	}
	made := w.createService(newService("web"))
	patched, err := w.services().Patch(ctx, "web", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
		metav1.PatchOptions{DryRun: all})
	if err != nil || patched.Labels["a"] != "b" {
		w.Errorf("patched %+v, error %v", patched, err)
	}
	w.ok("delete", w.services().Delete(ctx, "web", metav1.DeleteOptions{DryRun: all}))
	resource := w.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(w.namespace)
	w.ok("delete all", resource.DeleteCollection(ctx, metav1.DeleteOptions{DryRun: all}, metav1.ListOptions{}))
	if now, err := w.services().Get(ctx, "web", metav1.GetOptions{}); err != nil || now.ResourceVersion != made.ResourceVersion {
		w.Errorf("after dry runs it is %+v, error %v", now, err)
	}
	_, err = w.services().Create(ctx, newService("x"), metav1.CreateOptions{DryRun: []string{"Some"}})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `dryRun: Unsupported value: ["Some"]: supported values: "All"`) {
		w.Errorf("an unknown dry run: %v", err)
	}
}
