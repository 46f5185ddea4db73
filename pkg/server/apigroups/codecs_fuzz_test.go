package apigroups

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// FuzzDecode decodes arbitrary bytes as requests are decoded: from JSON, YAML and
// protobuf, strictly and not. A decoded object must survive being encoded and decoded as
// the store does it.
func FuzzDecode(f *testing.F) {
	codecs := NewCodecs(NewScheme())
	protobuf, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	toProtobuf := codecs.EncoderForVersion(protobuf.Serializer, v1.SchemeGroupVersion)
	stores := map[string]store{}
	for version, kind := range map[schema.GroupVersion]runtime.Object{
		v1.SchemeGroupVersion: &v1.Service{}, corev1.SchemeGroupVersion: &corev1.Namespace{},
		coordinationv1.SchemeGroupVersion: &coordinationv1.Lease{}, networkingv1.SchemeGroupVersion: &networkingv1.Ingress{},
	} {
		stores[packageOf(kind)] = store{codecs.LegacyCodec(version), codecs.EncoderForVersion(protobuf.Serializer, version)}
	}
	for _, example := range examples(f) {
		f.Add(example)
		asJSON, err := yaml.YAMLToJSON(example)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(asJSON)
		obj, err := runtime.Decode(codecs.UniversalDecoder(), asJSON)
		if err != nil {
			f.Fatal(err)
		}
		encoded, err := runtime.Encode(toProtobuf, obj)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	for _, text := range odd {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, info := range codecs.SupportedMediaTypes() {
			for _, serializer := range []runtime.Serializer{info.Serializer, info.StrictSerializer} {
				obj, _, err := codecs.DecoderToVersion(serializer, runtime.InternalGroupVersioner).Decode(data, nil, nil)
				if err != nil || obj == nil {
					continue
				}
				checkStored(t, stores, obj)
			}
		}
	})
}

// store has the codec of the stored kinds of a package.
type store struct {
	runtime.Decoder
	runtime.Encoder
}

// packageOf returns the package of an object's type. Kinds of the core API groups decode
// to kinds of portolan.dev where it has them.
func packageOf(obj runtime.Object) string { return reflect.TypeOf(obj).Elem().PkgPath() }

// checkStored checks objects of stored kinds, and their lists. The codecs also decode
// options, which it ignores.
func checkStored(t *testing.T, stores map[string]store, obj runtime.Object) {
	t.Helper()
	store, ok := stores[packageOf(obj)]
	if !ok {
		return
	}
	encoded, err := runtime.Encode(store.Encoder, obj)
	if err != nil {
		t.Fatalf("%#v can't be encoded: %v", obj, err)
	}
	again, err := runtime.Decode(store.Decoder, encoded)
	if err != nil {
		t.Fatalf("%#v was encoded and can't be decoded: %v", obj, err)
	}
	if !equality.Semantic.DeepEqual(obj, again) {
		t.Errorf("%#v\ncame back as\n%#v", obj, again)
	}
}

var odd = []string{
	"", "null", "[]", "{}", "k8s\x00", "k8s\x00\n\x0f\n\x02v1", "a: &a [*a]", "---\n---\n",
	`{"apiVersion":"portolan.dev/v1","kind":"Service","spec":null,"metadata":null}`,
	`{"apiVersion":"portolan.dev/v1","kind":"Service","spec":{"ports":[null,{"port":80,"targetPort":"a"}],"sessionAffinity":"ClientIP"}}`,
	`{"apiVersion":"portolan.dev/v1","kind":"Service","spec":{"ports":[{"targetPort":""}]},"metadata":{"managedFields":[{"fieldsV1":{"a":[]}}]}}`,
	`{"apiVersion":"portolan.dev/v1","kind":"EndpointSlice","addressType":"IPv4","endpoints":[{"addresses":["1"],"deprecatedTopology":{"a":"b"}}],"ports":[{}]}`,
	`{"apiVersion":"portolan.dev/v1","kind":"ServiceCIDR","spec":{"cidrs":["10.0.0.0/8"]},"status":{"conditions":[{"lastTransitionTime":null}]}}`,
	`{"apiVersion":"portolan.dev/v1","kind":"IPAddress","spec":{"parentRef":{}}}`,
	`{"apiVersion":"portolan.dev/v1","kind":"NodePortRange","spec":{"ports":["1-2"],"autoAssign":null}}`,
	`{"apiVersion":"portolan.dev/v1","kind":"NodePort","spec":{"protocols":[""]}}`,
	`{"apiVersion":"portolan.dev/v1","kind":"ServiceList","items":[{}]}`,
	`{"apiVersion":"portolan.dev/__internal","kind":"Service"}`,
	`{"apiVersion":"v1","kind":"Service","spec":{"ports":[{"port":80}]}}`,
	`{"apiVersion":"v1","kind":"Endpoints","subsets":[{"addresses":[{}],"ports":[null]}]}`,
	`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"},"spec":null,"status":{}}`,
	`{"apiVersion":"v1","kind":"Node","spec":{"podCIDR":"a","podCIDRs":["b"]},"status":{"capacity":{"cpu":"1"}}}`,
	`{"apiVersion":"v1","kind":"Pod","spec":{"hostNetwork":true,"containers":[{"ports":[{"containerPort":80}],"image":"a"}]},"status":{"podIP":"a","podIPs":[{"ip":"b"}]}}`,
	`{"apiVersion":"v1","kind":"Event","eventTime":"2026-01-02T03:04:05.000006Z","series":{},"source":{"component":"c"}}`,
	`{"apiVersion":"events.k8s.io/v1","kind":"Event","eventTime":null,"note":"n","deprecatedCount":1,"deprecatedSource":{"host":"h"}}`,
	`{"apiVersion":"v1","kind":"Secret","stringData":{"a":"b"},"data":{"a":"eA=="}}`,
	`{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"b"},"binaryData":{"c":"eA=="}}`,
	`{"apiVersion":"v1","kind":"ServiceAccount","secrets":[{"name":"a","kind":"b"}],"automountServiceAccountToken":null}`,
	`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":[null],"expirationSeconds":-1}}`,
	`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","spec":{"renewTime":"2026-01-02T03:04:05.000006Z","leaseDurationSeconds":-1}}`,
	`{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","spec":{"rules":[{"http":{"paths":[{"backend":{"service":{"port":{}}}}]}}]}}`,
	`{"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","spec":{"parameters":{}}}`,
	`{"apiVersion":"networking.k8s.io/v1","kind":"IngressList","items":[{}]}`,
	`{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"FQDN","endpoints":[{}],"ports":[{}]}`,
}

// examples returns the documents of artifacts/examples that are for this server.
func examples(f *testing.F) (documents [][]byte) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "artifacts", "examples", "*.yaml"))
	if err != nil || len(files) == 0 {
		f.Fatalf("found no examples, error %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		reader := utilyaml.NewDocumentDecoder(readCloser{bytes.NewReader(text)})
		for {
			document := make([]byte, len(text))
			n, err := reader.Read(document)
			if err != nil {
				break
			}
			// Other examples are for the cluster.
			if bytes.Contains(document[:n], []byte("apiVersion: "+v1.GroupName+"/")) {
				documents = append(documents, document[:n])
			}
		}
	}
	return documents
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }
