package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newSnapshotCommand() *cobra.Command {
	o := newStoreOptions()
	cmd := &cobra.Command{
		Use:   "snapshot FILE",
		Short: "Save a store to a file, for etcdutl to restore",
		Long: `Writes all that etcd holds to a file, as "etcdctl snapshot save" does, which needs
a port and so can't reach an embedded etcd. "etcdutl snapshot restore" makes a
data directory of it, for an embedded etcd or for one of yours.

The store is either the data directory of a server that has been stopped, or an
external etcd, whose servers may go on running. What is encrypted stays so: keep
the keys as well.`,
		Example: `  # The store of a server that has been stopped
  portolan snapshot snapshot.db --data-dir=./portolan-data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			cmd.SilenceUsage = true
			// A store of any format can be saved.
			store, err := o.connect(cmd.Context())
			if err != nil {
				return err
			}
			err = store.Snapshot(cmd.Context(), args[0])
			if err := errors.Join(err, store.Close()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Saved to %s.\n", args[0])
			return err
		},
	}
	o.addFlags(cmd)
	return cmd
}
