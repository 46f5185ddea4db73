package storage

import (
	"fmt"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// BenchmarkDecode decodes a stored Service.
func BenchmarkDecode(b *testing.B) {
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		b.Fatal(err)
	}
	pb := protobuf.NewSerializer(scheme, scheme)
	codec := serializer.NewCodecFactory(scheme).CodecForVersions(pb, pb, schema.GroupVersions{v1.SchemeGroupVersion}, nil)
	data, err := runtime.Encode(codec, &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "6f9b9af3-7a47-4b4f-a5c5-2c1a2f7d4b11", Labels: map[string]string{
			"app": "web"}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.10", ClusterIPs: []string{"10.96.0.10"},
			Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	decoder := typeMetaStripper{etcd3.NewDefaultDecoder(codec, storage.APIObjectVersioner{})}
	b.ReportAllocs()
	for b.Loop() {
		if err := decoder.Decode(data, &v1.Service{}, 7); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWatchEvent writes an object to etcd and waits until a watch of the watch cache
// delivers it.
func BenchmarkWatchEvent(b *testing.B) {
	s := cachedStack(b)
	revision := s.createPod(b, "one", "first", "x")
	value, err := s.client.Get(b.Context(), podKeys+"one/first")
	if err != nil {
		b.Fatal(err)
	}
	opts := storage.ListOptions{ResourceVersion: strconv.FormatInt(revision, 10), Predicate: storage.Everything, Recursive: true}
	w, err := s.Watch(b.Context(), podPrefix, opts)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Stop()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := s.client.Put(b.Context(), fmt.Sprintf("%stwo/pod-%d", podKeys, n%100), string(value.Kvs[0].Value)); err != nil {
			b.Fatal(err)
		}
		if _, ok := <-w.ResultChan(); !ok {
			b.Fatal("the watch has ended")
		}
	}
}
