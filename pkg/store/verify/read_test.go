package verify

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/etcd/etcdtest"
)

func startStore(t *testing.T) *clientv3.Client {
	t.Helper()
	return etcdtest.Start(t).Client
}

func encode(t *testing.T, mediaType string, object runtime.Object) string {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	codecs := serializer.NewCodecFactory(scheme)
	info, ok := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), mediaType)
	if !ok {
		t.Fatalf("no serializer for %s", mediaType)
	}
	data, err := runtime.Encode(codecs.EncoderForVersion(info.Serializer, v1.SchemeGroupVersion), object)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func put(t *testing.T, client *clientv3.Client, key, value string) {
	t.Helper()
	if _, err := client.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

// serverKey returns the server's key for an object: see etcd3.New, the generic
// registry's key functions and the storage factory of pkg/server.
func serverKey(prefix, resource string, names ...string) string {
	return path.Join(append([]string{"/", prefix, v1.GroupName, resource}, names...)...)
}

func TestRead(t *testing.T) {
	client := startStore(t)
	want := sound()
	want.Services[0].ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}}
	for i, mediaType := range []string{runtime.ContentTypeProtobuf, runtime.ContentTypeJSON} {
		prefix := fmt.Sprintf("/store%d", i)
		for _, svc := range want.Services {
			put(t, client, serverKey(prefix, "services", svc.Namespace, svc.Name), encode(t, mediaType, &svc))
		}
		for _, address := range want.IPAddresses {
			put(t, client, serverKey(prefix, "ipaddresses", address.Name), encode(t, mediaType, &address))
		}
		for _, port := range want.NodePorts {
			put(t, client, serverKey(prefix, "nodeports", port.Name), encode(t, mediaType, &port))
		}
		put(t, client, serverKey(prefix, "servicecidrs", "kubernetes"), encode(t, mediaType, &want.ServiceCIDRs[0]))
		put(t, client, serverKey(prefix, "nodeportranges", "kubernetes"), encode(t, mediaType, &want.NodePortRanges[0]))
	}
	// Neighbors that a careless prefix would read as well.
	put(t, client, "/store0/portolan.dev/servicesandmore/x", "garbage")
	put(t, client, "/store0/portolan.dev/endpoints/default/web", "garbage")

	for _, prefix := range []string{"/store0", "store1/"} {
		got, err := Read(t.Context(), client, prefix)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Services) != 3 || got.Services[2].Name != "web" || got.Services[2].ManagedFields != nil {
			t.Errorf("%s: Services: %+v", prefix, got.Services)
		}
		want.Revision = got.Revision
		if report := Check(got); report.String() != Check(want).String() || got.Revision < 2 {
			t.Errorf("%s: got:\n%s\nwant:\n%s", prefix, report, Check(want))
		}
	}
}

func TestReadUnreadable(t *testing.T) {
	client := startStore(t)
	address := newAddress("10.96.0.5", nil)
	svc := newService("web", "10.96.0.5")
	json := encode(t, runtime.ContentTypeJSON, &address)
	put(t, client, serverKey("/registry", "services", "default", "web"), encode(t, runtime.ContentTypeProtobuf, &svc))
	put(t, client, serverKey("/registry", "services", "web"), encode(t, runtime.ContentTypeProtobuf, &svc))
	put(t, client, serverKey("/registry", "ipaddresses", "10.96.0.5"), "k8s:enc:aescbc:v1:key1:gibberish")
	put(t, client, serverKey("/registry", "ipaddresses", "10.96.0.6"), json)
	put(t, client, serverKey("/registry", "ipaddresses", "10.96.0.7"), json[:len(json)/2])
	put(t, client, serverKey("/registry", "nodeports", "10.96.0.5"), json)
	put(t, client, serverKey("/registry", "nodeports", "1"), "k8s\x00broken")
	put(t, client, serverKey("/registry", "nodeports", "2"), "")
	put(t, client, serverKey("/registry", "nodeports", "3"), strings.Replace(json, "portolan.dev/v1", "v1", 1))

	contents, err := Read(t.Context(), client, "/registry")
	if err != nil {
		t.Fatal(err)
	}
	got := Check(contents).Violations
	for i, want := range []string{
		"ipaddresses/10.96.0.6 is the key of an object that calls itself ipaddresses/10.96.0.5",
		"ipaddresses/10.96.0.7 can't be decoded: ",
		"ipaddresses: encrypted with aescbc, so verify can't read them",
		"nodeports/1 can't be decoded: ",
		"nodeports/10.96.0.5 can't be decoded: ",
		"nodeports/2 is stored without a value",
		"nodeports/3 can't be decoded: ",
		"services/web is the key of an object that calls itself services/default/web",
	} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Fatalf("violation %d is not %q; got:\n  %s", i, want, strings.Join(got, "\n  "))
		}
	}
	if len(got) != 8 {
		t.Errorf("more than expected:\n  %s", strings.Join(got, "\n  "))
	}
}

// TestReadOneRevision writes objects while the store is read. Read must not return
// them.
func TestReadOneRevision(t *testing.T) {
	client := startStore(t)
	for i := range 2*pageSize + 1 {
		port := newPort(fmt.Sprint(i+1), nil, corev1.ProtocolTCP)
		put(t, client, serverKey("/registry", "nodeports", port.Name), encode(t, runtime.ContentTypeProtobuf, &port))
	}
	client.KV = &interferingKV{KV: client.KV, t: t}
	contents, err := Read(t.Context(), client, "/registry")
	if err != nil {
		t.Fatal(err)
	}
	if len(contents.NodePorts) != 2*pageSize+1 {
		t.Errorf("%d ports were read", len(contents.NodePorts))
	}
	if report := Check(contents); report.Err() != nil {
		t.Error(report.Err())
	}
}

func TestReadCompacted(t *testing.T) {
	client := startStore(t)
	put(t, client, "/registry/x", "1")
	client.KV = &interferingKV{KV: client.KV, t: t, compact: true}
	_, err := Read(t.Context(), client, "/registry")
	if err == nil || !strings.Contains(err.Error(), "compacted") || !strings.Contains(err.Error(), "try again") {
		t.Errorf("got %v", err)
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := &pass{Reader: Reader{Progress: &out}}
	for range 2*progressStep + 1 {
		p.count()
	}
	if want := "read 50000 objects\nread 100000 objects\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestEncryption(t *testing.T) {
	for value, want := range map[string]string{
		"k8s:enc:secretbox:v1:key:data": "secretbox",
		"k8s:enc:":                      "an unknown provider",
		"k8s:enc":                       "",
		"k8s\x00":                       "",
	} {
		if got := encryption([]byte(value)); got != want {
			t.Errorf("encryption(%q) = %q, want %q", value, got, want)
		}
	}
}
