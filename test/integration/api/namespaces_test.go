package api

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

func newNamespace(t *testing.T, client kubernetes.Interface, name string) *corev1.Namespace {
	t.Helper()
	namespace, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return namespace
}

func gone(client kubernetes.Interface, name string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	}
}

// TestNamespaces is what a namespace is like and what is refused about it.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := coreClient(t, framework.Start(t, nil))
	namespaces := client.CoreV1().Namespaces()

	list, err := namespaces.List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Active"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, namespace := range list.Items {
		names = append(names, namespace.Name)
	}
	if got := strings.Join(names, " "); got != "default kube-node-lease kube-public kube-system" {
		t.Errorf("at first there are %s", got)
	}

	made, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "team-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if made.Labels[corev1.LabelMetadataName] != made.Name || made.Status.Phase != corev1.NamespaceActive ||
		!slices.Contains(made.Spec.Finalizers, corev1.FinalizerKubernetes) {
		t.Errorf("made %+v", made)
	}
	made.Spec.Finalizers, made.Status.Phase = nil, corev1.NamespaceTerminating
	if made, err = namespaces.Update(ctx, made, metav1.UpdateOptions{}); err != nil || len(made.Spec.Finalizers) != 1 ||
		made.Status.Phase != corev1.NamespaceActive {
		t.Errorf("updated to %+v, error %v", made, err)
	}
	applied, err := namespaces.Apply(ctx, applycorev1.Namespace(made.Name).WithLabels(map[string]string{"a": "b"}),
		metav1.ApplyOptions{FieldManager: "test"})
	if err != nil || applied.Labels["a"] != "b" {
		t.Errorf("applied %+v, error %v", applied, err)
	}

	for what, test := range map[string]struct {
		err  error
		want string
	}{
		"a bad name":   {create(ctx, client, "a.b"), `Namespace "a.b" is invalid: metadata.name: Invalid value: "a.b": must not contain dots`},
		"a taken name": {create(ctx, client, "default"), `namespaces "default" already exists`},
		"a phase": {second(namespaces.Patch(ctx, "default", "application/merge-patch+json", []byte(`{"status":{"phase":"Terminating"}}`),
			metav1.PatchOptions{}, "status")),
			"status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"},
		"the end of default": {
			namespaces.Delete(ctx, "default", metav1.DeleteOptions{}), `namespaces "default" is forbidden: this namespace may not be deleted`,
		},
		"another one's UID": {namespaces.Delete(ctx, made.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions("a")}),
			"Precondition failed: UID in precondition: a"},
		"a Service in no place": {
			second(client.CoreV1().Services("none").Create(ctx, coreService("a"), metav1.CreateOptions{})), `namespaces "none" not found`,
		},
		"a field": {
			second(namespaces.List(ctx, metav1.ListOptions{FieldSelector: "spec.a=b"})), "field label not supported: spec.a",
		},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", what, test.err, test.want)
		}
	}
	if err := namespaces.Delete(ctx, made.Name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Error(err)
	}
	if again, err := namespaces.Get(ctx, made.Name, metav1.GetOptions{}); err != nil || again.DeletionTimestamp != nil {
		t.Errorf("after a dry run it is %+v, error %v", again, err)
	}
}

func create(ctx context.Context, client kubernetes.Interface, name string) error {
	_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}

func second[T any](_ T, err error) error { return err }

// TestNamespaceDeletion empties a namespace, tells what keeps it, and takes
// nothing in the meantime.
func TestNamespaceDeletion(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	etcd, servers := framework.Replicas(t, 2, nil)
	client := coreClient(t, servers[0])
	newNamespace(t, client, "team")

	services := client.CoreV1().Services("team")
	kept := coreService("kept", onNodePort(0))
	kept.Finalizers = []string{"example.com/wait"}
	for _, svc := range []*corev1.Service{coreService("a", onNodePort(0)), coreService("b"), kept} {
		if _, err := services.Create(ctx, svc, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "alone"}, AddressType: discoveryv1.AddressTypeIPv4}
	if _, err := client.DiscoveryV1().EndpointSlices("team").Create(ctx, slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().Namespaces().Delete(ctx, "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := services.Create(ctx, coreService("late"), metav1.CreateOptions{})
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("a Service in a namespace that is going: %v", err)
	}
	framework.Await(t, "the namespace says what keeps it", func(ctx context.Context) (bool, error) {
		namespace, err := client.CoreV1().Namespaces().Get(ctx, "team", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		var messages []string
		for _, condition := range namespace.Status.Conditions {
			if condition.Status == corev1.ConditionTrue {
				messages = append(messages, condition.Message)
			}
		}
		return namespace.Status.Phase == corev1.NamespaceTerminating && slices.Equal(messages, []string{
			"Some resources are remaining: services. has 1 resource instances",
			"Some content in the namespace has finalizers remaining: example.com/wait in 1 resource instances",
		}), nil
	})
	if _, err := services.Patch(ctx, "kept", "application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`),
		metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Await(t, "the namespace is gone", gone(client, "team"))
	if slices, err := client.DiscoveryV1().EndpointSlices("team").List(ctx, metav1.ListOptions{}); err != nil || len(slices.Items) != 0 {
		t.Errorf("slices are left: %v, error %v", slices, err)
	}
	framework.Verify(t, etcd.Client)
}

// TestNamespaceFinalizers has one that waits for somebody else.
func TestNamespaceFinalizers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := coreClient(t, framework.Start(t, nil))
	namespaces := client.CoreV1().Namespaces()
	namespace := newNamespace(t, client, "team")
	namespace.Spec.Finalizers = append(namespace.Spec.Finalizers, "example.com/wait")
	namespace, err := namespaces.Finalize(ctx, namespace, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := namespaces.Delete(ctx, "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Await(t, "the server has done its part", func(ctx context.Context) (bool, error) {
		namespace, err = namespaces.Get(ctx, "team", metav1.GetOptions{})
		return err == nil && slices.Equal(namespace.Spec.Finalizers, []corev1.FinalizerName{"example.com/wait"}), err
	})
	namespace.Spec.Finalizers = []corev1.FinalizerName{"nobody"}
	if _, err := namespaces.Finalize(ctx, namespace, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a finalizer that is none: %v", err)
	}
	namespace.Spec.Finalizers = nil
	if _, err := namespaces.Finalize(ctx, namespace, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Await(t, "the namespace is gone", gone(client, "team"))
}

// TestNamespacesOfBefore finds objects in namespaces that nobody made: those of
// a store from before there were any.
func TestNamespacesOfBefore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	etcd := framework.StartEtcd(t)
	before := framework.Start(t, func(o *options.Options) {
		framework.On(etcd)(o)
		o.ServeCore = ptr.To(false)
	})
	if _, err := before.Client.PortolanV1().Services("team").Create(ctx, serviceWith("a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	client := coreClient(t, framework.Start(t, framework.On(etcd)))
	namespace, err := client.CoreV1().Namespaces().Get(ctx, "team", metav1.GetOptions{})
	if err != nil || namespace.Status.Phase != corev1.NamespaceActive {
		t.Fatalf("got %+v, error %v", namespace, err)
	}
	if _, err := client.CoreV1().Services("team").Create(ctx, coreService("b"), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
}
