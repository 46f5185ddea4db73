package server

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strings"

	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/klog/v2"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/customresources"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/server/apigroups"
	"github.com/portolan-dev/portolan/pkg/server/options"
	portolanstorage "github.com/portolan-dev/portolan/pkg/storage"
)

// StoredResources returns how a server with the given options stores each resource, by the
// name of the resource. It is for commands that work on a store without a server.
func StoredResources(o *options.Options) (map[string]portolanstorage.Resource, error) {
	config, err := storageConfig(o)
	if err != nil {
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

// StoredCustomResources returns how a server with the given options stores custom resources.
func StoredCustomResources(o *options.Options) (portolanstorage.CustomResources, error) {
	config, err := storageConfig(o)
	if err != nil {
		return portolanstorage.CustomResources{}, err
	}
	return customresources.Stored(*o.Etcd, &config.Generic.Config), nil
}

// storageConfig returns a configuration that has what storage needs.
func storageConfig(o *options.Options) (*Config, error) {
	scheme := apigroups.NewScheme()
	codecs := apigroups.NewCodecs(scheme)
	config := &Config{
		Generic: genericapiserver.NewRecommendedConfig(codecs),
		Extra:   ExtraConfig{Scheme: scheme, Codecs: codecs},
	}
	if err := o.Run.ApplyTo(&config.Generic.Config); err != nil {
		return nil, err
	}
	return config, config.applyEncoding(o)
}

// applyEncoding sets up the keys, the encoding and the encryption of each resource.
func (c *Config) applyEncoding(o *options.Options) error {
	encoding := serverstorage.NewDefaultResourceEncodingConfig(c.Extra.Scheme)
	encoding.SetEffectiveVersion(c.Generic.EffectiveVersion)
	backend := o.Etcd.StorageConfig
	backend.StorageObjectCountTracker = c.Generic.StorageObjectCountTracker
	backend.Transport.TracerProvider = c.Generic.TracerProvider
	factory := serverstorage.NewDefaultStorageFactory(backend, o.Etcd.DefaultStorageMediaType, c.Extra.Codecs, encoding,
		serverstorage.NewResourceConfig(), nil)
	for _, kind := range registry.Kinds() {
		factory.SetResourceEtcdPrefix(kind.Resource, path.Join(v1.GroupName, kind.Resource.Resource))
	}
	err := o.Etcd.ApplyWithStorageFactoryTo(factory, &c.Generic.Config)
	if err != nil && o.Etcd.EncryptionProviderConfigFilepath != "" {
		return fmt.Errorf("--encryption-provider-config: %w", err)
	}
	return err
}

// warnOfPlaintext logs which resources are stored in plain text although encryption is
// configured. For example, *.portolan.dev does not include Secrets.
func (c *Config) warnOfPlaintext(ctx context.Context, o *options.Options) {
	transformers := c.Generic.ResourceTransformers
	if transformers == nil {
		return
	}
	var plain []string
	for _, kind := range storedKinds(o.Core() && !o.InCluster()) {
		const encrypted = "k8s:enc:"
		stored, err := transformers.TransformerForResource(kind.Resource).TransformToStorage(ctx, nil, value.DefaultContext("probe"))
		// A transformer that fails does encrypt.
		if err == nil && !bytes.HasPrefix(stored, []byte(encrypted)) {
			plain = append(plain, kind.Resource.String())
		}
	}
	if len(plain) > 0 {
		klog.Warningf("--encryption-provider-config leaves these in plain text: %s. List them under resources, or *.*, to have them encrypted, "+
			"and then run portolan migrate", strings.Join(plain, ", "))
	}
}

// storedKinds returns the kinds that a server stores. Those that only the core API groups
// serve are a standalone server's: a cluster has its own.
func storedKinds(all bool) []registry.Kind {
	if all {
		return registry.Kinds()
	}
	return registry.PortolanKinds()
}
