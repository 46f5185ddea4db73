package portolanclient

import (
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// NewScheme returns a scheme that registers upstream's Go types of Portolan's kinds as
// portolan.dev/v1, so that references to such objects name the right group.
func NewScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(v1.SchemeGroupVersion,
		&corev1.Service{}, &corev1.ServiceList{},
		&corev1.Endpoints{}, &corev1.EndpointsList{},
		&discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{},
	)
	metav1.AddToGroupVersion(scheme, v1.SchemeGroupVersion)
	// Status is in v1 for every group.
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	return scheme
}

func newSerializer() runtime.NegotiatedSerializer {
	scheme := NewScheme()
	codecs := rest.CodecFactoryForGeneratedClient(scheme, serializer.NewCodecFactory(scheme))
	return groupSerializer{codecs.WithoutConversion()}
}

// groupSerializer encodes objects as portolan.dev/v1, whatever group version the client
// requests. It translates the owners of slices in both directions:
// k8s.io/endpointslice expects a v1 Service as the owner, but the cluster's garbage
// collector finds the Service only in portolan.dev/v1.
type groupSerializer struct {
	runtime.NegotiatedSerializer
}

func (s groupSerializer) EncoderForVersion(serializer runtime.Encoder, _ runtime.GroupVersioner) runtime.Encoder {
	return ownerEncoder{s.NegotiatedSerializer.EncoderForVersion(serializer, v1.SchemeGroupVersion)}
}

func (s groupSerializer) DecoderToVersion(serializer runtime.Decoder, version runtime.GroupVersioner) runtime.Decoder {
	return ownerDecoder{s.NegotiatedSerializer.DecoderToVersion(serializer, version)}
}

type ownerEncoder struct {
	runtime.Encoder
}

func (e ownerEncoder) Encode(obj runtime.Object, w io.Writer) error {
	if slice, ok := obj.(*discoveryv1.EndpointSlice); ok {
		copied := *slice
		copied.OwnerReferences = slices.Clone(slice.OwnerReferences)
		renameOwners(&copied, corev1.SchemeGroupVersion.String(), v1.SchemeGroupVersion.String())
		obj = &copied
	}
	return e.Encoder.Encode(obj, w)
}

type ownerDecoder struct {
	runtime.Decoder
}

func (d ownerDecoder) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind,
	error) {
	obj, kind, err := d.Decoder.Decode(data, defaults, into)
	switch decoded := obj.(type) {
	case *discoveryv1.EndpointSlice:
		renameOwners(decoded, v1.SchemeGroupVersion.String(), corev1.SchemeGroupVersion.String())
	case *discoveryv1.EndpointSliceList:
		for i := range decoded.Items {
			renameOwners(&decoded.Items[i], v1.SchemeGroupVersion.String(), corev1.SchemeGroupVersion.String())
		}
	}
	return obj, kind, err
}

// renameOwners changes the API version of owners that are Services or Endpoints.
func renameOwners(slice *discoveryv1.EndpointSlice, from, to string) {
	for i := range slice.OwnerReferences {
		owner := &slice.OwnerReferences[i]
		if owner.APIVersion == from && (owner.Kind == "Service" || owner.Kind == "Endpoints") {
			owner.APIVersion = to
		}
	}
}
