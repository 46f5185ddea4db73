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
	for _, resource := range registry.Stored() {
		restOptions, err := config.Generic.RESTOptionsGetter.GetRESTOptions(resource.GroupResource, resource.New())
		if err != nil {
			return nil, fmt.Errorf("how %s are stored: %w", resource, err)
		}
		stored[resource.Resource] = portolanstorage.NewResource(restOptions)
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
	for _, resource := range registry.Stored() {
		factory.SetResourceEtcdPrefix(resource.GroupResource, path.Join(v1.GroupName, resource.Resource))
	}
	return o.Etcd.ApplyWithStorageFactoryTo(factory, &c.Generic.Config)
}
