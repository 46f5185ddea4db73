package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/server"
	"github.com/portolan-dev/portolan/pkg/store/migrate"
)

type migrateOptions struct {
	storeOptions
	dryRun bool
}

// newMigrateCommand returns the command migrate. It fails if the store can't be used,
// or if objects can't be read.
func newMigrateCommand() *cobra.Command {
	o := migrateOptions{storeOptions: newStoreOptions()}
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Store every object as this release would, and raise the store's format",
		Long: `Rewrites every object that is not stored as a server of this release, with the
same flags, would store it: objects in another encoding (--storage-media-type)
or in the format of an older release, and objects in plain text or encrypted
with an older key (--encryption-provider-config). Other objects are left alone,
so the command can be interrupted and run again.

The store is either an external etcd, whose servers can keep running, or the
data directory of a stopped server. An object that a server writes meanwhile is
left to the server. An object that can't be read is left as it is and reported,
and makes the command fail.

Take a backup first. Use the flags of the servers, after all servers have been
restarted with them. If a release has a newer store format, migrate when every
replica runs that release: replicas of older releases exit when the format is
raised, and don't start again.`,
		Example: `  # What would be rewritten
  portolan migrate --etcd-servers=https://etcd:2379 --dry-run \
    --etcd-cafile=ca.crt --etcd-certfile=client.crt --etcd-keyfile=client.key

  # After encryption was turned on, or a new key was added as the first
  portolan migrate --etcd-servers=https://etcd:2379 --encryption-provider-config=encryption.yaml \
    --etcd-cafile=ca.crt --etcd-certfile=client.crt --etcd-keyfile=client.key

  # The store of a stopped server
  portolan migrate --data-dir=./portolan-data`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			cmd.SilenceUsage = true
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.addFlags(cmd)
	o.addEncryptionFlag(cmd)
	cmd.Flags().StringVar(&o.Etcd.DefaultStorageMediaType, "storage-media-type", o.Etcd.DefaultStorageMediaType,
		"The server's --storage-media-type: the encoding of objects")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "Print what would be rewritten, and write nothing")
	return cmd
}

func (o migrateOptions) run(ctx context.Context, out, progress io.Writer) error {
	stored, err := o.stored()
	if err != nil {
		return err
	}
	custom, err := server.StoredCustomResources(o.Options)
	if err != nil {
		return err
	}
	store, err := o.open(ctx)
	if err != nil {
		return err
	}
	format, err := o.raiseFormat(ctx, store)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	migration := migrate.Migration{KV: store.Client, Stored: stored, Custom: custom, DryRun: o.dryRun, Progress: progress}
	report, err := migration.Run(ctx)
	err = errors.Join(err, store.Close())
	if _, printErr := io.WriteString(out, format+report.String()); printErr != nil {
		return errors.Join(err, printErr)
	}
	if err == nil && report.Total().Read == 0 {
		_, err = fmt.Fprintf(out, "warning: %s\n", o.emptyWarning())
	}
	return errors.Join(err, report.Err())
}

// raiseFormat raises the format before objects are written in it, so that no server
// that doesn't know the format is running then. It returns what it did as text.
func (o migrateOptions) raiseFormat(ctx context.Context, store *etcd.Store) (string, error) {
	before, err := o.format(store).Check(ctx)
	if err != nil {
		return "", err
	}
	after := before
	if !o.dryRun {
		if after, err = o.format(store).Raise(ctx); err != nil {
			return "", err
		}
	}
	if after.Format == before.Format {
		return fmt.Sprintf("The store is in format %d.\n", after.Format), nil
	}
	return fmt.Sprintf("The store's format was raised from %d to %d.\n", before.Format, after.Format), nil
}
