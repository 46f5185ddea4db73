package storage

import (
	"bytes"
	"context"
	"fmt"
	"path"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"

	"github.com/portolan-dev/portolan/pkg/txn"
)

// Resource reads and writes objects of one resource as the resource's own store does:
// with the same keys, encoding and encryption.
type Resource struct {
	// Prefix is the prefix of all keys. It ends with a slash.
	Prefix      string
	Codec       runtime.Codec
	Transformer value.Transformer
}

// CustomResources reads and writes objects of custom resources.
type CustomResources struct {
	// Prefix is the prefix of all keys, before GROUP/RESOURCE/. It ends with a slash.
	Prefix string
	// Resource returns one of the resources.
	Resource func(schema.GroupResource) (Resource, error)
}

// NewResource returns the resource of a store with the given options.
func NewResource(options generic.RESTOptions) Resource {
	config := options.StorageConfig
	return Resource{
		Prefix:      path.Join("/", config.Prefix, options.ResourcePrefix) + "/",
		Codec:       config.Codec,
		Transformer: transformerOr(config.Transformer),
	}
}

// transformerOr returns the configured transformer or, if there is none, the one for a
// store without encryption.
func transformerOr(configured value.Transformer) value.Transformer {
	if configured == nil {
		return identity.NewEncryptCheckTransformer()
	}
	return configured
}

// Key returns the key of the object with a name, which is "namespace/name" if the
// resource is namespaced.
func (r Resource) Key(name string) string { return r.Prefix + name }

// Encode returns the put that stores an object.
func (r Resource) Encode(ctx context.Context, name string, obj runtime.Object) (txn.Put, error) {
	data, err := runtime.Encode(r.Codec, obj)
	if err != nil {
		return txn.Put{}, fmt.Errorf("encoding %s: %w", r.Key(name), err)
	}
	return r.encrypt(ctx, r.Key(name), data)
}

func (r Resource) encrypt(ctx context.Context, key string, data []byte) (txn.Put, error) {
	data, err := r.Transformer.TransformToStorage(ctx, data, value.DefaultContext(key))
	if err != nil {
		return txn.Put{}, fmt.Errorf("encrypting %s: %w", key, err)
	}
	return txn.Put{Key: key, Value: data}, nil
}

// Decode decodes a stored object.
func (r Resource) Decode(ctx context.Context, kv *mvccpb.KeyValue, into runtime.Object) error {
	_, _, err := r.decode(ctx, kv, into)
	return err
}

// Decrypt returns a stored value without its encryption, if it has any.
func (r Resource) Decrypt(ctx context.Context, kv *mvccpb.KeyValue) ([]byte, error) {
	data, _, err := r.decrypt(ctx, kv)
	return data, err
}

// Renew decodes a stored object and returns what the store would write in its place
// today. differs reports whether the encoding, the version or the encryption key has
// changed. The store carries out an update that changes nothing under the same condition.
func (r Resource) Renew(ctx context.Context, kv *mvccpb.KeyValue, into runtime.Object) (renewed txn.Put, differs bool, err error) {
	data, stale, err := r.decode(ctx, kv, into)
	if err != nil {
		return txn.Put{}, false, err
	}
	// The codec would decode no data to an object without a name.
	if len(data) == 0 {
		return txn.Put{}, false, fmt.Errorf("decoding %s: it has no value", kv.Key)
	}
	encoded, err := runtime.Encode(r.Codec, into)
	if err != nil {
		return txn.Put{}, false, fmt.Errorf("encoding %s: %w", kv.Key, err)
	}
	if !stale && bytes.Equal(encoded, data) {
		return txn.Put{}, false, nil
	}
	renewed, err = r.encrypt(ctx, string(kv.Key), encoded)
	return renewed, true, err
}

func (r Resource) decrypt(ctx context.Context, kv *mvccpb.KeyValue) (data []byte, stale bool, err error) {
	data, stale, err = r.Transformer.TransformFromStorage(ctx, kv.Value, value.DefaultContext(kv.Key))
	if err != nil {
		return nil, false, fmt.Errorf("decrypting %s: %w", kv.Key, err)
	}
	return data, stale, nil
}

func (r Resource) decode(ctx context.Context, kv *mvccpb.KeyValue, into runtime.Object) (data []byte, stale bool, err error) {
	data, stale, err = r.decrypt(ctx, kv)
	if err != nil {
		return nil, false, err
	}
	if _, _, err := r.Codec.Decode(data, nil, into); err != nil {
		return nil, false, fmt.Errorf("decoding %s: %w", kv.Key, err)
	}
	return data, stale, nil
}
