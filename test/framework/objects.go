package framework

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// CreateNamespace creates a namespace at a server.
func CreateNamespace(t testing.TB, config *rest.Config, name string) {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// NewService returns a Service on port 80 that selects Pods with the label
// app=name. Change may change it; it may be nil.
func NewService(namespace, name string, change func(*v1.Service)) *v1.Service {
	service := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"team": "a"}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
	if change != nil {
		change(service)
	}
	return service
}

// CreateService creates a Service in the namespace default.
func (s *Server) CreateService(t testing.TB, name string) {
	t.Helper()
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
	if _, err := s.Client.PortolanV1().Services("default").Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// ListServices lists the Services of all namespaces.
func (s *Server) ListServices(t testing.TB) *v1.ServiceList {
	t.Helper()
	list, err := s.Client.PortolanV1().Services("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// ExpectExpired watches Services from a resource version, and wants the watch to
// end because that version has expired. A server that has not noticed yet that etcd was
// replaced ends the watch without an event.
func (s *Server) ExpectExpired(t testing.TB, resourceVersion string) {
	t.Helper()
	Eventually(t, "a watch from "+resourceVersion+" is answered with 410", func(ctx context.Context) (bool, error) {
		w, err := s.Client.PortolanV1().Services("").Watch(ctx, metav1.ListOptions{ResourceVersion: resourceVersion})
		if err == nil {
			defer w.Stop()
			event, open := <-w.ResultChan()
			if open && event.Type != watch.Error {
				t.Fatalf("a watch from %s has the event %v", resourceVersion, event)
			}
			if !open {
				return false, errors.New("it ends without an event")
			}
			err = apierrors.FromObject(event.Object)
		}
		return apierrors.IsResourceExpired(err) || apierrors.IsGone(err), err
	})
}
