package storage

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage/etcd3"
)

// kindless is a decoder whose objects don't say of what kind they are, as
// internal objects never do. What is answered gets its kind when it is encoded;
// items of a list, which don't get one, would show the one they were stored with.
type kindless struct {
	etcd3.Decoder
}

// Decode implements etcd3.Decoder.
func (d kindless) Decode(value []byte, obj runtime.Object, revision int64) error {
	err := d.Decoder.Decode(value, obj, revision)
	forgetKind(obj)
	return err
}

// DecodeListItem implements etcd3.Decoder.
func (d kindless) DecodeListItem(ctx context.Context, data []byte, revision uint64, newItem func() runtime.Object) (runtime.Object, error) {
	obj, err := d.Decoder.DecodeListItem(ctx, data, revision, newItem)
	forgetKind(obj)
	return obj, err
}

func forgetKind(obj runtime.Object) {
	if obj != nil {
		obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
}
