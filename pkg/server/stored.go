package server

import (
	"fmt"
	"path"

	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/server/options"
	portolanstorage "github.com/portolan-dev/portolan/pkg/storage"
)

// StoredResources says how a server with the given options stores each
// resource, by its name, for what works on a store without a server.
func StoredResources(o *options.Options) (map[string]portolanstorage.Resource, error) {
	scheme := NewScheme()
	codecs := NewCodecs(scheme)
	config := &Config{
		Generic: genericapiserver.NewRecommendedConfig(codecs),
		Extra:   ExtraConfig{Scheme: scheme, Codecs: codecs},
	}
	if err := o.Run.ApplyTo(&config.Generic.Config); err != nil {
		return nil, err
	}
	if err := config.applyEncoding(o); err != nil {
		return nil, err
	}
	stored := map[string]portolanstorage.Resource{}
	for _, kind := range registry.Kinds() {
		restOptions, err := config.Generic.RESTOptionsGetter.GetRESTOptions(kind.Resource, kind.New())
		if err != nil {
			return nil, fmt.Errorf("how %s are stored: %w", kind.Resource, err)
		}
		stored[kind.Resource.Resource] = portolanstorage.NewResource(restOptions)
	}
	return stored, nil
}

// applyEncoding sets up under which keys, in which encoding and with which
// encryption each resource is stored.
func (c *Config) applyEncoding(o *options.Options) error {
	encoding := serverstorage.NewDefaultResourceEncodingConfig(c.Extra.Scheme)
	encoding.SetEffectiveVersion(c.Generic.EffectiveVersion)
	backend := o.Etcd.StorageConfig
	backend.StorageObjectCountTracker = c.Generic.StorageObjectCountTracker
	backend.Transport.TracerProvider = c.Generic.TracerProvider
	factory := serverstorage.NewDefaultStorageFactory(backend, o.Etcd.DefaultStorageMediaType, c.Extra.Codecs, encoding, serverstorage.NewResourceConfig(), nil)
	for _, kind := range registry.Kinds() {
		factory.SetResourceEtcdPrefix(kind.Resource, path.Join(v1.GroupName, kind.Resource.Resource))
	}
	return o.Etcd.ApplyWithStorageFactoryTo(factory, &c.Generic.Config)
}
