package claims

import (
	"context"
	"fmt"
	"path"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"

	"github.com/portolan-dev/portolan/pkg/txn"
)

// resource reads and writes objects of one resource exactly as the resource's
// own store does: the same keys, the same encoding, the same encryption.
type resource struct {
	prefix      string
	codec       runtime.Codec
	transformer value.Transformer
}

func newResource(options generic.RESTOptions) resource {
	config := options.StorageConfig
	transformer := config.Transformer
	if transformer == nil {
		transformer = identity.NewEncryptCheckTransformer()
	}
	return resource{
		prefix:      path.Join("/", config.Prefix, options.ResourcePrefix) + "/",
		codec:       config.Codec,
		transformer: transformer,
	}
}

func (r resource) key(name string) string { return r.prefix + name }

func (r resource) encode(ctx context.Context, name string, obj runtime.Object) (txn.Put, error) {
	data, err := runtime.Encode(r.codec, obj)
	if err != nil {
		return txn.Put{}, fmt.Errorf("encoding %s: %w", r.key(name), err)
	}
	key := r.key(name)
	data, err = r.transformer.TransformToStorage(ctx, data, value.DefaultContext(key))
	if err != nil {
		return txn.Put{}, fmt.Errorf("encrypting %s: %w", key, err)
	}
	return txn.Put{Key: key, Value: data}, nil
}

func (r resource) decode(ctx context.Context, kv *mvccpb.KeyValue, into runtime.Object) error {
	data, _, err := r.transformer.TransformFromStorage(ctx, kv.Value, value.DefaultContext(kv.Key))
	if err != nil {
		return fmt.Errorf("decrypting %s: %w", kv.Key, err)
	}
	if _, _, err := r.codec.Decode(data, nil, into); err != nil {
		return fmt.Errorf("decoding %s: %w", kv.Key, err)
	}
	return nil
}
