//go:build e2e

package moving

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// cluster is a kube-apiserver with a client of its etcd.
type cluster struct {
	t      *testing.T
	kube   *upstream.Server
	client *kubernetes.Clientset
	etcd   *clientv3.Client
}

func newCluster(t *testing.T, flags ...string) *cluster {
	t.Helper()
	kube := framework.StartKube(t, flags...)
	client, err := kubernetes.NewForConfig(kube.Config)
	if err != nil {
		t.Fatal(err)
	}
	// kube-apiserver creates the Service kubernetes after it has turned ready.
	framework.Eventually(t, "the Service kubernetes is there", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		return err == nil, err
	})
	return &cluster{t: t, kube: kube, client: client, etcd: framework.ConnectEtcd(t, kube.EtcdURL)}
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// create creates a Service and returns it.
func (c *cluster) create(name string, spec corev1.ServiceSpec) *corev1.Service {
	c.t.Helper()
	created, err := c.client.CoreV1().Services("default").Create(c.t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}, Spec: spec,
	}, metav1.CreateOptions{FieldManager: "test"})
	c.must(err)
	return created
}

// fill creates Services of every kind, with endpoints, and a reservation.
func (c *cluster) fill() {
	c.t.Helper()
	ctx := c.t.Context()
	http := corev1.ServicePort{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}
	c.create("web", corev1.ServiceSpec{Ports: []corev1.ServicePort{http}, Selector: map[string]string{"app": "web"}})
	c.create("api", corev1.ServiceSpec{Ports: []corev1.ServicePort{http}})
	c.create("dns", corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{
		{Name: "tcp", Port: 53, Protocol: corev1.ProtocolTCP}, {Name: "udp", Port: 53, Protocol: corev1.ProtocolUDP},
	}})
	c.create("public", corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, Ports: []corev1.ServicePort{http},
	})
	c.create("peers", corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{http}})
	c.create("elsewhere", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"})

	public, err := c.client.CoreV1().Services("default").Get(ctx, "public", metav1.GetOptions{})
	c.must(err)
	public.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.7"}}
	_, err = c.client.CoreV1().Services("default").UpdateStatus(ctx, public, metav1.UpdateOptions{})
	c.must(err)
	_, err = c.client.DiscoveryV1().EndpointSlices("default").Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: "public-1", Labels: map[string]string{discoveryv1.LabelServiceName: "public"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: "public", UID: public.UID}},
		},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.1.1"}}},
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}},
	}, metav1.CreateOptions{})
	c.must(err)
	_, err = c.client.CoreV1().Endpoints("default").Create(ctx, &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "api"}, Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: "10.1.1.2"}}, Ports: []corev1.EndpointPort{{Name: "http", Port: 8080}},
		}},
	}, metav1.CreateOptions{})
	c.must(err)
	_, err = c.client.NetworkingV1().IPAddresses().Create(ctx, &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: "10.111.0.9"},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{
			Group: "gateway.networking.k8s.io", Resource: "gateways", Namespace: "default", Name: "g",
		}},
	}, metav1.CreateOptions{})
	c.must(err)
}

// snapshot saves a snapshot of the cluster's etcd with etcdctl.
func (c *cluster) snapshot() string {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "cluster.db")
	command := exec.CommandContext(c.t.Context(), framework.Program(c.t, "etcdctl"), "--endpoints="+c.kube.EtcdURL, "snapshot", "save", file)
	if out, err := command.CombinedOutput(); err != nil {
		c.t.Fatalf("%v\n%s", err, out)
	}
	return file
}

// load decodes what etcd has under a key.
func load[T runtime.Object](c *cluster, key string, into T) T {
	c.t.Helper()
	found, err := c.etcd.Get(c.t.Context(), "/registry/"+key)
	c.must(err)
	if len(found.Kvs) != 1 {
		c.t.Fatalf("%d values under %s", len(found.Kvs), key)
	}
	_, _, err = scheme.Codecs.UniversalDeserializer().Decode(found.Kvs[0].Value, nil, into)
	c.must(err)
	return into
}

// store writes an object to etcd as kube-apiserver would.
func (c *cluster) store(key string, obj runtime.Object) {
	c.t.Helper()
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	kinds, _, err := scheme.Scheme.ObjectKinds(obj)
	c.must(err)
	value, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, kinds[0].GroupVersion()), obj)
	c.must(err)
	c.put(key, string(value))
}

func (c *cluster) put(key, value string) {
	c.t.Helper()
	_, err := c.etcd.Put(c.t.Context(), "/registry/"+key, value)
	c.must(err)
}

func (c *cluster) remove(key string) {
	c.t.Helper()
	deleted, err := c.etcd.Delete(c.t.Context(), "/registry/"+key)
	c.must(err)
	if deleted.Deleted != 1 {
		c.t.Fatalf("%s did not exist", key)
	}
}
