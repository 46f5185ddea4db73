package storage

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage/etcd3"
)

// typeMetaStripper clears apiVersion and kind of decoded objects, as is usual for internal
// objects. The encoder of an answer sets them again, but not on the items of a list, which
// would show the version that they were stored in.
type typeMetaStripper struct {
	etcd3.Decoder
}

// Decode implements etcd3.Decoder.
func (d typeMetaStripper) Decode(value []byte, obj runtime.Object, revision int64) error {
	err := d.Decoder.Decode(value, obj, revision)
	ClearTypeMeta(obj)
	return err
}

// DecodeListItem implements etcd3.Decoder.
func (d typeMetaStripper) DecodeListItem(ctx context.Context, data []byte, revision uint64,
	newItem func() runtime.Object) (runtime.Object, error) {
	obj, err := d.Decoder.DecodeListItem(ctx, data, revision, newItem)
	ClearTypeMeta(obj)
	return obj, err
}

// ClearTypeMeta clears apiVersion and kind of an object. It leaves custom objects alone, whose
// kind is nowhere else.
func ClearTypeMeta(obj runtime.Object) {
	if _, custom := obj.(runtime.Unstructured); obj != nil && !custom {
		obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
}
