package v1_test

import (
	"bytes"
	"math/rand"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	"k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/randfill"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework/fuzzing"
)

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(v1.AddToScheme(scheme))
	return scheme
}

func newFuzzer(scheme *runtime.Scheme) *randfill.Filler {
	return fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(fuzzing.Defaulted(scheme), metafuzzer.Funcs),
		rand.NewSource(rand.Int63()), serializer.NewCodecFactory(scheme))
}

// TestRoundTrip encodes and decodes with JSON and protobuf: with conversion and defaults
// as requests and the store do, and without as clients do.
func TestRoundTrip(t *testing.T) {
	scheme := newScheme()
	codecs := serializer.NewCodecFactory(scheme)
	t.Run("server", func(t *testing.T) {
		roundtrip.RoundTripTypes(t, scheme, codecs, newFuzzer(scheme), nil)
	})
	t.Run("client", func(t *testing.T) {
		roundtrip.RoundTripExternalTypes(t, scheme, codecs, newFuzzer(scheme), nil)
	})
}

type message interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// TestWireFormatIsUpstreams wants our types and upstream's to encode alike, because
// clients of core/v1, discovery.k8s.io/v1 and portolan.dev/v1 read the same objects.
func TestWireFormatIsUpstreams(t *testing.T) {
	fuzz := newFuzzer(newScheme())
	for range *roundtrip.FuzzIters {
		service := &v1.Service{}
		fuzz.Fill(service)
		requireSameBytes(t, service,
			&corev1.Service{ObjectMeta: service.ObjectMeta, Spec: service.Spec, Status: service.Status},
			&v1.Service{}, &corev1.Service{})

		endpoints := &v1.Endpoints{}
		fuzz.Fill(endpoints)
		requireSameBytes(t, endpoints,
			&corev1.Endpoints{ObjectMeta: endpoints.ObjectMeta, Subsets: endpoints.Subsets},
			&v1.Endpoints{}, &corev1.Endpoints{})

		slice := &v1.EndpointSlice{}
		fuzz.Fill(slice)
		requireSameBytes(t, slice,
			&discoveryv1.EndpointSlice{ObjectMeta: slice.ObjectMeta, AddressType: slice.AddressType, Endpoints: slice.Endpoints, Ports: slice.Ports},
			&v1.EndpointSlice{}, &discoveryv1.EndpointSlice{})
	}
}

// requireSameBytes takes an object as both Go types, and an empty object of each type.
func requireSameBytes(t *testing.T, ours, upstreams, emptyOurs, emptyUpstreams message) {
	t.Helper()
	oursEncoded, err := ours.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	upstreamsEncoded, err := upstreams.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(oursEncoded, upstreamsEncoded) {
		t.Fatalf("%T and %T are encoded to different bytes", ours, upstreams)
	}
	requireDecodes(t, oursEncoded, emptyUpstreams, upstreams)
	requireDecodes(t, upstreamsEncoded, emptyOurs, ours)
}

func requireDecodes(t *testing.T, encoded []byte, into, want message) {
	t.Helper()
	if err := into.Unmarshal(encoded); err != nil {
		t.Fatal(err)
	}
	if !equality.Semantic.DeepEqual(into, want) {
		t.Fatalf("decoded %T is not the object that was encoded:\n%v\nwant:\n%v", into, into, want)
	}
}
