package main

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
	corescheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned/scheme"
	portolanclient "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

const (
	clusterIP = "clusterip"
	nodePort  = "nodeport"
	headless  = "headless"

	namespace = metav1.NamespaceDefault

	kubeName     = "kube-apiserver"
	portolanName = "portolan"
	baselineName = "baseline"
	floorName    = "etcd"
)

var kinds = []string{clusterIP, nodePort, headless}

// target is something that Services are created in and deleted from. Worker
// is who asks; it decides over which connection.
type target interface {
	name() string
	create(ctx context.Context, worker int, kind, service string) error
	delete(ctx context.Context, worker int, service string) error
	// usage is what its processes have used of the machine.
	usage() (upstream.Usage, error)
}

// apiServer is a target with the whole API. Its clients do not decode answers, since they
// share the machine with the server.
type apiServer struct {
	label string
	// version is the API version of Services.
	version string
	server  *upstream.Server
	clients []rest.Interface
	encoder runtime.Encoder
	// changes counts changes, so that each differs from the last.
	changes atomic.Int64
}

func newKubeTarget(server *upstream.Server, connections int) (*apiServer, error) {
	encoder := corescheme.Codecs.EncoderForVersion(protobuf.NewSerializer(corescheme.Scheme, corescheme.Scheme), corev1.SchemeGroupVersion)
	return newAPIServer(kubeName, corev1.SchemeGroupVersion.String(), server, connections, encoder)
}

func newPortolanTarget(label string, server *upstream.Server, connections int) (*apiServer, error) {
	encoder := scheme.Codecs.EncoderForVersion(protobuf.NewSerializer(scheme.Scheme, scheme.Scheme), v1.SchemeGroupVersion)
	return newAPIServer(label, v1.SchemeGroupVersion.String(), server, connections, encoder)
}

// newAPIServer makes one client for each connection: client-go shares connections between
// clients that look alike to it, which those with a dialer of their own don't.
func newAPIServer(label, version string, server *upstream.Server, connections int, encoder runtime.Encoder) (*apiServer, error) {
	s := &apiServer{label: label, version: version, server: server, encoder: encoder}
	for range connections {
		config := rest.CopyConfig(server.Config)
		config.QPS = -1
		config.UserAgent = "bench"
		config.Dial = (&net.Dialer{}).DialContext
		config.NegotiatedSerializer = serializer.WithoutConversionCodecFactory{CodecFactory: corescheme.Codecs}
		client, err := rest.UnversionedRESTClientFor(config)
		if err != nil {
			return nil, err
		}
		s.clients = append(s.clients, client)
	}
	return s, nil
}

func (s *apiServer) name() string { return s.label }

func (s *apiServer) usage() (upstream.Usage, error) {
	_, all, err := s.server.Usage()
	return all, err
}

// services is the path of the Services, with the given elements after it.
func (s *apiServer) services(elements ...string) []string {
	root := []string{"/apis", s.version}
	if s.version == corev1.SchemeGroupVersion.String() {
		root[0] = "/api"
	}
	return append(append(root, "namespaces", namespace, "services"), elements...)
}

// request returns a request for protobuf by a worker.
func (s *apiServer) request(worker int, verb string, path ...string) *rest.Request {
	return s.clients[worker%len(s.clients)].Verb(verb).AbsPath(path...).SetHeader("Accept", runtime.ContentTypeProtobuf)
}

func (s *apiServer) encode(kind string, meta metav1.ObjectMeta) ([]byte, error) {
	if s.version == corev1.SchemeGroupVersion.String() {
		return runtime.Encode(s.encoder, &corev1.Service{ObjectMeta: meta, Spec: specOf(kind, meta.Name)})
	}
	return runtime.Encode(s.encoder, &v1.Service{ObjectMeta: meta, Spec: specOf(kind, meta.Name)})
}

func (s *apiServer) create(ctx context.Context, worker int, kind, service string) error {
	body, err := s.encode(kind, metaOf(service))
	if err != nil {
		return err
	}
	return s.request(worker, "POST", s.services()...).SetHeader("Content-Type", runtime.ContentTypeProtobuf).Body(body).Do(ctx).Error()
}

func (s *apiServer) delete(ctx context.Context, worker int, service string) error {
	return s.request(worker, "DELETE", s.services(service)...).Do(ctx).Error()
}

// settled says whether the namespace is there, which appears a moment after
// the server is ready.
func (s *apiServer) settled(ctx context.Context) bool {
	return s.request(0, "GET", "/api/v1/namespaces", namespace).Do(ctx).Error() == nil
}

// stored returns a Service of a kind as Portolan stores it, and its claims.
func (s *apiServer) stored(ctx context.Context, kind string) (*v1.Service, []runtime.Object, error) {
	const name = "example-000000"
	if err := s.create(ctx, 0, kind, name); err != nil {
		return nil, nil, err
	}
	client, err := portolanclient.NewForConfig(s.server.Config)
	if err != nil {
		return nil, nil, err
	}
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
	return svc, claims, s.delete(ctx, 0, name)
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
