package customresources

import (
	"path"

	apiextensionsoptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apigeneric "k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/storage"
)

// getter returns the storage stacks of custom resources, which are those of the built-in kinds
// with another encoding.
func (c Config) getter(front *genericapiserver.Config, builtIn *storage.Getter) *storage.Getter {
	getter := builtIn.For(nil, false)
	getter.Options = newOptions(c.Etcd, front)
	return getter
}

// Stored returns how custom resources are stored.
func Stored(etcd genericoptions.EtcdOptions, config *genericapiserver.Config) storage.CustomResources {
	options := newOptions(etcd, config)
	return storage.CustomResources{
		Prefix: path.Join("/", etcd.StorageConfig.Prefix, prefix) + "/",
		Resource: func(resource schema.GroupResource) (storage.Resource, error) {
			stored, err := options.GetRESTOptions(resource, &unstructured.Unstructured{})
			if err != nil {
				return storage.Resource{}, err
			}
			return storage.NewResource(stored), nil
		},
	}
}

// prefix is the prefix of the keys of custom resources. No built-in kind has it.
var prefix = path.Join(v1.GroupName, "customresources")

// prefixed are the library's options with that prefix.
type prefixed struct {
	apigeneric.RESTOptionsGetter
}

func newOptions(etcd genericoptions.EtcdOptions, config *genericapiserver.Config) prefixed {
	return prefixed{apiextensionsoptions.NewCRDRESTOptionsGetter(etcd, config.ResourceTransformers, config.StorageObjectCountTracker)}
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (p prefixed) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (apigeneric.RESTOptions, error) {
	options, err := p.RESTOptionsGetter.GetRESTOptions(resource, example)
	options.ResourcePrefix = path.Join(prefix, resource.Group, resource.Resource)
	return options, err
}
