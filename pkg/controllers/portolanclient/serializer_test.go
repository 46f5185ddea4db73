package portolanclient

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// TestSerializer encodes upstream's types in both formats, decodes them with Portolan's
// own types, and does the reverse.
func TestSerializer(t *testing.T) {
	serializer := newSerializer()
	owners := []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "Service", Name: "web", UID: "1"},
		{APIVersion: "v1", Kind: "Pod", Name: "web", UID: "2"},
		{APIVersion: "apps/v1", Kind: "Service", Name: "web", UID: "3"},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1", OwnerReferences: owners}, AddressType: discoveryv1.AddressTypeIPv4,
	}
	before := slice.DeepCopy()
	ours := runtime.NewScheme()
	if err := v1.AddToScheme(ours); err != nil {
		t.Fatal(err)
	}
	for _, mediaType := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		t.Run(mediaType, func(t *testing.T) {
			info, ok := runtime.SerializerInfoForMediaType(serializer.SupportedMediaTypes(), mediaType)
			if !ok {
				t.Fatal("no serializer")
			}
			var written bytes.Buffer
			if err := serializer.EncoderForVersion(info.Serializer, corev1.SchemeGroupVersion).Encode(slice, &written); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(slice, before) {
				t.Errorf("the encoded object changed to %v", slice)
			}
			if strings.Count(written.String(), v1.SchemeGroupVersion.String()) != 2 {
				t.Errorf("written %q", written.String())
			}
			read, _, err := serializer.DecoderToVersion(info.Serializer, nil).Decode(written.Bytes(), nil, &discoveryv1.EndpointSlice{})
			if err != nil {
				t.Fatal(err)
			}
			if got := read.(*discoveryv1.EndpointSlice).OwnerReferences; !reflect.DeepEqual(got, owners) {
				t.Errorf("owners that were read: %v", got)
			}
		})
	}
}
