package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/store/verify"
)

func newRestoreCommand() *cobra.Command {
	o := newStoreOptions()
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Restore a snapshot into a data directory",
		Long: `Restores a snapshot, written by "portolan snapshot" or "etcdctl snapshot save",
into a data directory. The directory must not have a store: move an existing one
aside. The command checks the file's checksum, that the store is Portolan's, and
that this release knows its format. At the end it prints the report of "portolan
verify".

Resource versions continue a billion after those of the snapshot, and all
earlier ones count as compacted: clients that have watched the server list
again.

A snapshot does not contain the certificates of a data directory (pki/). Those
in the directory stay. Clients' kubeconfigs work only with the pki/ that they
were created from.`,
		Example: `  # Return to a snapshot, with the server stopped
  mv portolan-data/etcd portolan-data/etcd.old
  portolan restore snapshot.db --data-dir=portolan-data
  portolan serve --data-dir=portolan-data`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return o.restore(ctx, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.DataDir, "data-dir", o.DataDir, "Data directory without a store. It is created if it doesn't exist")
	cmd.Flags().StringVar(&o.Etcd.StorageConfig.Prefix, "etcd-prefix", o.Etcd.StorageConfig.Prefix,
		"The server's --etcd-prefix: the prefix of its keys")
	o.addEncryptionFlag(cmd)
	return cmd
}

// restore restores a snapshot and verifies it. It keeps a store with violations: it
// was saved that way.
func (o storeOptions) restore(ctx context.Context, file string, out, progress io.Writer) error {
	stored, err := o.stored()
	if err != nil {
		return err
	}
	var report verify.Report
	err = etcd.Restore(ctx, file, o.DataDir, func(ctx context.Context, store *etcd.Store) (err error) {
		report, err = o.inspect(ctx, store, stored, progress)
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%sRestored %s into %s. %s\nStart the server:\n\n  portolan serve --data-dir=%[3]s\n\n", report, file,
		o.DataDir, o.certificatesNote())
	return errors.Join(err, report.Err())
}

// inspect verifies a restored store. It fails if the store isn't Portolan's, or is in a
// format that this release doesn't know.
func (o storeOptions) inspect(ctx context.Context, store *etcd.Store, stored map[string]storage.Resource,
	progress io.Writer) (verify.Report, error) {
	if _, err := o.format(store).Check(ctx); err != nil {
		return verify.Report{}, err
	}
	contents, err := o.reader(store, stored, progress).Read(ctx)
	if err != nil {
		return verify.Report{}, err
	}
	report := verify.Check(contents)
	if isEmptyStore(report) {
		return report, errors.New("this is not a snapshot of a store of Portolan: " + o.emptyWarning())
	}
	return report, nil
}

// certificatesNote says whether the clients' kubeconfigs will still work.
func (o storeOptions) certificatesNote() string {
	pki := filepath.Join(o.DataDir, "pki")
	if _, err := os.Stat(filepath.Join(pki, "ca.crt")); err == nil {
		return fmt.Sprintf("The certificates in %s stay; kubeconfigs that were created from them still work.", pki)
	}
	return fmt.Sprintf("There are no certificates in %s, and a snapshot has none: copy those of the old directory there now, "+
		"or the server creates new ones and no old kubeconfig works.", pki)
}
