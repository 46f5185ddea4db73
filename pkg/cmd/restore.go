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
		Short: "Make the store of a data directory of a snapshot",
		Long: `Makes the store of a data directory of a file that "portolan snapshot" or "etcdctl
snapshot save" has written. It checks the file's checksum and that it holds a
store of Portolan in a format that this release knows, and ends with what "portolan
verify" says of it. The directory has no store before: one that is there is to be
moved aside.

Resource versions go on a billion after those of the snapshot, and all before
count as compacted: clients that watched the server before list anew.

The certificates of a data directory (pki/) are not in a snapshot, and those that
are in the directory stay. Clients' kubeconfigs go on working only with the pki/
that they were made from.`,
		Example: `  # Back to a snapshot, with the server stopped
  mv portolan-data/etcd portolan-data/etcd.old
  portolan restore snapshot.db --data-dir=portolan-data
  portolan serve --data-dir=portolan-data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return o.restore(ctx, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.DataDir, "data-dir", o.DataDir, "Data directory that has no store yet. It is made if it isn't there")
	cmd.Flags().StringVar(&o.Etcd.StorageConfig.Prefix, "etcd-prefix", o.Etcd.StorageConfig.Prefix,
		"What the server's keys begin with: its --etcd-prefix")
	o.addEncryptionFlag(cmd)
	return cmd
}

// restore keeps a store that has violations: it is as it was saved.
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
	_, err = fmt.Fprintf(out, "%s%s is restored in %s. %s\nStart the server:\n\n  portolan serve --data-dir=%[3]s\n\n", report, file,
		o.DataDir, o.certificates())
	return errors.Join(err, report.Err())
}

// inspect wants a store of Portolan's in a format that this release knows.
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

// certificates says what becomes of the clients' kubeconfigs.
func (o storeOptions) certificates() string {
	pki := filepath.Join(o.DataDir, "pki")
	if _, err := os.Stat(filepath.Join(pki, "ca.crt")); err == nil {
		return fmt.Sprintf("The certificates in %s stay; kubeconfigs that were made from them go on working.", pki)
	}
	return fmt.Sprintf("There are no certificates in %s, and a snapshot has none: copy those of the directory of before there now, "+
		"or the server makes new ones and no kubeconfig of before works.", pki)
}
