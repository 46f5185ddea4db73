package importer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/store/snapshot"
)

// encode encodes an object as kube-apiserver stores it.
func encode(t *testing.T, mediaType string, version schema.GroupVersion, obj runtime.Object) string {
	t.Helper()
	info, ok := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), mediaType)
	if !ok {
		t.Fatalf("no serializer for %s", mediaType)
	}
	value, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, version), obj)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// save puts values into an etcd and returns a snapshot of it. An empty value deletes.
func save(t *testing.T, values ...[2]string) string {
	t.Helper()
	store, err := etcd.StartEmbedded(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, value := range values {
		if value[1] == "" {
			_, err = store.Client.Delete(t.Context(), value[0])
		} else {
			_, err = store.Client.Put(t.Context(), value[0], value[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "cluster.db")
	if _, err := snapshot.Save(t.Context(), file, store.Snapshot); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFromSnapshot(t *testing.T) {
	const protobuf, json = runtime.ContentTypeProtobuf, runtime.ContentTypeJSON
	web, api := newService("web", "10.96.0.5", 0, 1), newService("api", "10.96.0.6", 0, 1)
	address, old := newAddress("10.96.0.5", "web"), networkingv1beta1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: "10.96.0.6"},
		Spec: networkingv1beta1.IPAddressSpec{
			ParentRef: &networkingv1beta1.ParentReference{Resource: "services", Namespace: "default", Name: "api"},
		},
	}
	ports := &corev1.RangeAllocation{Range: "30000-30099", Data: []byte{0x06}}
	first := newService("web", "10.96.9.9", 0, 1)
	file := save(t,
		[2]string{"/r/services/specs/default/web", encode(t, protobuf, corev1.SchemeGroupVersion, &first)},
		[2]string{"/r/services/specs/default/web", encode(t, protobuf, corev1.SchemeGroupVersion, &web)},
		[2]string{"/r/services/specs/default/api", encode(t, json, corev1.SchemeGroupVersion, &api)},
		[2]string{"/r/services/specs/default/gone", encode(t, json, corev1.SchemeGroupVersion, &api)},
		[2]string{"/r/services/specs/default/gone", ""},
		[2]string{"/r/services/specs/default/renamed", encode(t, json, corev1.SchemeGroupVersion, &api)},
		[2]string{"/r/services/specs/default/sealed", "k8s:enc:secretbox:v1:key:x"},
		[2]string{"/r/services/specs/default/broken", "k8s\x00x"},
		[2]string{"/r/ipaddresses/10.96.0.5", encode(t, protobuf, networkingv1.SchemeGroupVersion, &address)},
		[2]string{"/r/ipaddresses/10.96.0.6", encode(t, protobuf, networkingv1beta1.SchemeGroupVersion, &old)},
		[2]string{"/r/ranges/servicenodeports", encode(t, protobuf, corev1.SchemeGroupVersion, ports)},
		[2]string{"/r/pods/default/p", "what is not read may be broken"},
		[2]string{"/other/services/specs/default/x", "so may be what is elsewhere"},
	)
	contents, err := FromSnapshot(t.Context(), file, "r/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(contents.Services) != 2 || contents.Services[1].Spec.ClusterIP != "10.96.0.5" || len(contents.IPAddresses) != 2 ||
		contents.IPAddresses[1].Spec.ParentRef.Name != "api" || contents.Revision != 14 {
		t.Errorf("got %s: %v, %v", contents.Summary(), contents.Services, contents.IPAddresses)
	}
	if set, err := contents.Ports.ports(); err != nil || len(set) != 2 || !set[30001] || !set[30002] {
		t.Errorf("ports: %v, %v", set, err)
	}
	var reasons []string
	for _, value := range contents.Unreadable {
		reasons = append(reasons, value.Key+" "+value.Reason)
	}
	got := strings.Join(reasons, "\n")
	for _, want := range []string{
		"services/specs/default/broken can't be decoded: ",
		"services/specs/default/renamed is the key of an object that is /v1, Kind=Service services/specs/default/api",
		`services/specs/default/sealed is encrypted at rest, with "secretbox"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if len(reasons) != 3 {
		t.Errorf("got\n%s", got)
	}
}

func TestFromBadSnapshot(t *testing.T) {
	file := save(t, [2]string{"/registry/x", "1"})
	_, err := FromSnapshot(t.Context(), file, "/elsewhere", nil)
	if err == nil || !strings.Contains(err.Error(), "has nothing under /elsewhere") {
		t.Errorf("another prefix: %v", err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := FromSnapshot(t.Context(), file, "/registry", nil); err == nil || !strings.Contains(err.Error(), "its checksum is wrong") {
		t.Errorf("damaged: %v", err)
	}
	if _, err := FromSnapshot(t.Context(), filepath.Join(t.TempDir(), "none"), "/registry", nil); !os.IsNotExist(err) && err == nil {
		t.Errorf("no file: %v", err)
	}
}
