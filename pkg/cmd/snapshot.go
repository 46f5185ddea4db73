package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/store/snapshot"
)

// progressPeriod is how often is said how much has arrived.
const progressPeriod = 5 * time.Second

type snapshotOptions struct {
	storeOptions
	kubeconfig string
}

func newSnapshotCommand() *cobra.Command {
	o := &snapshotOptions{storeOptions: newStoreOptions()}
	cmd := &cobra.Command{
		Use:   "snapshot FILE",
		Short: "Save a store to a file, for portolan restore",
		Long: `Writes all that etcd holds to a file. "portolan restore" makes a data directory of
it, and "etcdutl snapshot restore" one for an etcd of your own.

Without --data-dir and --etcd-servers it asks a running server that has its etcd
inside. Only members of system:masters may ask it, such as the user of
admin.kubeconfig: the file has every Secret. The server must be reached directly,
not through a cluster.

With --data-dir the store is that of a server that has been stopped, and with
--etcd-servers it is an external etcd, whose servers may go on running.

The file appears when it is whole, and must not exist before. What is encrypted
stays so: keep the keys as well. The certificates of the data directory (pki/)
are not in it.`,
		Example: `  # A running server
  portolan snapshot snapshot.db --kubeconfig=portolan-data/admin.kubeconfig

  # The store of a server that has been stopped
  portolan snapshot snapshot.db --data-dir=portolan-data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			cmd.SilenceUsage = true
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			save := o.saveServed
			if cmd.Flags().Changed("data-dir") || !o.Embedded() {
				save = o.saveStored
			}
			size, err := save(ctx, args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Saved to %s: %d bytes, with the right checksum.\n", args[0], size)
			return err
		},
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig,
		"kubeconfig of a running server. Without it it is what $KUBECONFIG names, or ~/.kube/config")
	cmd.MarkFlagsMutuallyExclusive("kubeconfig", "data-dir")
	cmd.MarkFlagsMutuallyExclusive("kubeconfig", "etcd-servers")
	return cmd
}

// saveStored saves the store of a server that is stopped, or an external one.
func (o *snapshotOptions) saveStored(ctx context.Context, path string, progress io.Writer) (int64, error) {
	// A store of any format can be saved.
	store, err := o.connect(ctx)
	if err != nil {
		return 0, err
	}
	size, err := snapshot.Save(ctx, path, tell(progress, store.Snapshot))
	return size, errors.Join(err, store.Close())
}

// saveServed saves the store of a running server.
func (o *snapshotOptions) saveServed(ctx context.Context, path string, progress io.Writer) (int64, error) {
	config, _, err := clientConfig(o.kubeconfig, "")
	if err != nil {
		return 0, fmt.Errorf("%w; or name the directory of a server that has been stopped with --data-dir", err)
	}
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return 0, err
	}
	return snapshot.Save(ctx, path, tell(progress, func(ctx context.Context) (io.ReadCloser, error) {
		stream, err := client.Get().AbsPath(snapshot.Path).Stream(ctx)
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("%s serves no snapshots: it is a release before v0.2, or a cluster; ask Portolan itself", config.Host)
		}
		return stream, err
	}))
}

// tell says now and then how much of a stream has arrived.
func tell(out io.Writer, source snapshot.Source) snapshot.Source {
	return func(ctx context.Context) (io.ReadCloser, error) {
		stream, err := source(ctx)
		if err != nil {
			return nil, err
		}
		return &told{ReadCloser: stream, out: out, next: time.Now().Add(progressPeriod)}, nil
	}
}

type told struct {
	io.ReadCloser
	out  io.Writer
	size int64
	next time.Time
}

// Read implements io.Reader.
func (t *told) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.size += int64(n)
	if now := time.Now(); now.After(t.next) {
		t.next = now.Add(progressPeriod)
		fmt.Fprintf(t.out, "%d MiB so far\n", t.size>>20)
	}
	return n, err
}
