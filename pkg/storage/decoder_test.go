package storage

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func TestTypeMetaStripper(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	codec := serializer.NewCodecFactory(scheme).LegacyCodec(v1.SchemeGroupVersion)
	data, err := runtime.Encode(codec, &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}})
	if err != nil {
		t.Fatal(err)
	}
	decoder := typeMetaStripper{etcd3.NewDefaultDecoder(codec, storage.APIObjectVersioner{})}
	one := &v1.Service{}
	if err := decoder.Decode(data, one, 7); err != nil {
		t.Fatal(err)
	}
	item, err := decoder.DecodeListItem(t.Context(), data, 7, func() runtime.Object { return &v1.Service{} })
	if err != nil {
		t.Fatal(err)
	}
	for _, svc := range []*v1.Service{one, item.(*v1.Service)} {
		if svc.TypeMeta != (metav1.TypeMeta{}) || svc.Name != "web" || svc.ResourceVersion != "7" {
			t.Errorf("got %+v", svc)
		}
	}
	if item, err := decoder.DecodeListItem(t.Context(), []byte("{"), 7, func() runtime.Object { return &v1.Service{} }); err == nil {
		t.Errorf("got %+v", item)
	}
}
