package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/server"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/store/format"
)

// storeOptions are the options of commands that work on a store directly: those server
// options that locate the store and determine how objects are stored.
type storeOptions struct {
	*options.Options
}

func newStoreOptions() storeOptions { return storeOptions{options.New()} }

// addFlags adds flags with the same names as the server's.
func (o storeOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	transport := &o.Etcd.StorageConfig.Transport
	flags.StringVar(&o.DataDir, "data-dir", o.DataDir, "Data directory of a stopped server")
	flags.StringSliceVar(&transport.ServerList, "etcd-servers", nil, "Use this external etcd instead (comma-separated URLs)")
	flags.StringVar(&transport.TrustedCAFile, "etcd-cafile", "", "CA certificate to verify the external etcd with")
	flags.StringVar(&transport.CertFile, "etcd-certfile", "", "Client certificate for the external etcd")
	flags.StringVar(&transport.KeyFile, "etcd-keyfile", "", "Key of the client certificate")
	flags.StringVar(&o.Etcd.StorageConfig.Prefix, "etcd-prefix", o.Etcd.StorageConfig.Prefix,
		"The server's --etcd-prefix: the prefix of its keys")
	excludeEachOther(cmd, "data-dir", "etcd-servers")
}

// addEncryptionFlag adds the flag for commands that read objects.
func (o storeOptions) addEncryptionFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.Etcd.EncryptionProviderConfigFilepath, "encryption-provider-config", "",
		"The server's --encryption-provider-config, if it has one")
}

// stored returns how a server with these options stores each resource.
func (o storeOptions) stored() (map[string]storage.Resource, error) {
	if err := o.Run.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, err
	}
	return server.StoredResources(o.Options)
}

func (o storeOptions) validate() error {
	transport := o.Etcd.StorageConfig.Transport
	if (transport.CertFile == "") != (transport.KeyFile == "") {
		return errors.New("--etcd-certfile and --etcd-keyfile belong together: one of them is missing")
	}
	if o.Embedded() && (transport.TrustedCAFile != "" || transport.CertFile != "") {
		return errors.New("--etcd-cafile and --etcd-certfile are for an external etcd: --etcd-servers is missing")
	}
	if o.Embedded() {
		return nil
	}
	return o.CheckFiles()
}

// open opens an existing store. It fails if this release doesn't know its format.
func (o storeOptions) open(ctx context.Context) (*etcd.Store, error) {
	store, err := o.connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := o.format(store).Check(ctx); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

func (o storeOptions) connect(ctx context.Context) (*etcd.Store, error) {
	if !o.Embedded() {
		return etcd.Connect(ctx, o.Etcd.StorageConfig.Transport)
	}
	// etcd would create an empty store here.
	if _, err := os.Stat(filepath.Join(o.DataDir, "etcd", "member")); err != nil {
		return nil, fmt.Errorf("%s is not a server's data directory: %w", o.DataDir, err)
	}
	return etcd.StartEmbedded(ctx, o.DataDir)
}

func (o storeOptions) format(store *etcd.Store) format.Store {
	return format.Store{Client: store.Client, Prefix: o.Etcd.StorageConfig.Prefix}
}

// emptyWarning returns a warning about a store without objects.
func (o storeOptions) emptyWarning() string {
	return fmt.Sprintf("nothing is stored under %s: is that the server's --etcd-prefix?", o.Etcd.StorageConfig.Prefix)
}
