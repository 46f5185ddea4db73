package main

import (
	"context"
	"fmt"
	"net"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	portolanclient "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
)

const (
	clusterIP = "clusterip"
	nodePort  = "nodeport"
	headless  = "headless"

	namespace = metav1.NamespaceDefault
)

var kinds = []string{clusterIP, nodePort, headless}

// target is something that Services are created in and deleted from. Worker
// is who asks; it decides over which connection.
type target interface {
	name() string
	create(ctx context.Context, worker int, kind, service string) error
	delete(ctx context.Context, worker int, service string) error
}

// specOf is a Service as it is written by hand: one port, one label selected.
func specOf(kind, service string) corev1.ServiceSpec {
	spec := corev1.ServiceSpec{
		Selector: map[string]string{"app": service},
		Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}
	switch kind {
	case nodePort:
		spec.Type = corev1.ServiceTypeNodePort
	case headless:
		spec.ClusterIP = corev1.ClusterIPNone
	}
	return spec
}

func metaOf(service string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: service, Namespace: namespace, Labels: map[string]string{"app": service}}
}

// clients makes one client for each connection: client-go shares connections
// between clients that look alike to it, which those with a dialer of their own
// don't.
func clients[C any](config *rest.Config, connections int, newClient func(*rest.Config) (C, error)) ([]C, error) {
	all := []C{}
	for range connections {
		config := rest.CopyConfig(config)
		config.QPS = -1
		config.ContentType = runtime.ContentTypeProtobuf
		config.AcceptContentTypes = runtime.ContentTypeProtobuf
		config.UserAgent = "bench"
		config.Dial = (&net.Dialer{}).DialContext
		client, err := newClient(config)
		if err != nil {
			return nil, err
		}
		all = append(all, client)
	}
	return all, nil
}

type kubeTarget struct {
	clients []*coreclient.CoreV1Client
}

func newKubeTarget(config *rest.Config, connections int) (*kubeTarget, error) {
	all, err := clients(config, connections, coreclient.NewForConfig)
	return &kubeTarget{all}, err
}

func (t *kubeTarget) name() string { return "kube-apiserver" }

func (t *kubeTarget) create(ctx context.Context, worker int, kind, service string) error {
	svc := &corev1.Service{ObjectMeta: metaOf(service), Spec: specOf(kind, service)}
	_, err := t.clients[worker%len(t.clients)].Services(namespace).Create(ctx, svc, metav1.CreateOptions{})
	return err
}

func (t *kubeTarget) delete(ctx context.Context, worker int, service string) error {
	return t.clients[worker%len(t.clients)].Services(namespace).Delete(ctx, service, metav1.DeleteOptions{})
}

// settled says whether the namespace is there, which appears a moment after
// the server is ready.
func (t *kubeTarget) settled(ctx context.Context) bool {
	_, err := t.clients[0].Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	return err == nil
}

type portolanTarget struct {
	label   string
	clients []*portolanclient.PortolanV1Client
}

func newPortolanTarget(label string, config *rest.Config, connections int) (*portolanTarget, error) {
	all, err := clients(config, connections, portolanclient.NewForConfig)
	return &portolanTarget{label, all}, err
}

func (t *portolanTarget) name() string { return t.label }

func (t *portolanTarget) create(ctx context.Context, worker int, kind, service string) error {
	svc := &v1.Service{ObjectMeta: metaOf(service), Spec: specOf(kind, service)}
	_, err := t.clients[worker%len(t.clients)].Services(namespace).Create(ctx, svc, metav1.CreateOptions{})
	return err
}

func (t *portolanTarget) delete(ctx context.Context, worker int, service string) error {
	return t.clients[worker%len(t.clients)].Services(namespace).Delete(ctx, service, metav1.DeleteOptions{})
}

// stored returns a Service of a kind as it was stored, and its claims.
func (t *portolanTarget) stored(ctx context.Context, kind string) (*v1.Service, []runtime.Object, error) {
	const name = "example-000000"
	if err := t.create(ctx, 0, kind, name); err != nil {
		return nil, nil, err
	}
	client := t.clients[0]
	svc, err := client.Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	var claims []runtime.Object
	if ip := svc.Spec.ClusterIP; ip != corev1.ClusterIPNone {
		address, err := client.IPAddresses().Get(ctx, ip, metav1.GetOptions{})
		if err != nil {
			return nil, nil, err
		}
		claims = append(claims, address)
	}
	if port := svc.Spec.Ports[0].NodePort; port != 0 {
		claim, err := client.NodePorts().Get(ctx, fmt.Sprint(port), metav1.GetOptions{})
		if err != nil {
			return nil, nil, err
		}
		claims = append(claims, claim)
	}
	return svc, claims, t.delete(ctx, 0, name)
}
