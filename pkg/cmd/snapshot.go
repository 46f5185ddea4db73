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

// progressPeriod is the time between two lines of progress.
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
		Long: `Writes the contents of etcd to a file. "portolan restore" restores it into a
data directory, and "etcdutl snapshot restore" into an external etcd.

Without --data-dir and --etcd-servers it reads from a running server with an
embedded etcd. The user must be in the group system:masters, as the user of
admin.kubeconfig is, because the file contains all Secrets. Connect to the
server directly, not through a cluster.

With --data-dir it reads the store of a stopped server. With --etcd-servers it
reads an external etcd, whose servers can keep running.

The file must not exist, and appears only when it is complete. Encrypted objects
stay encrypted: back up the keys as well. The file does not contain the
certificates of the data directory (pki/).`,
		Example: `  # A running server
  portolan snapshot snapshot.db --kubeconfig=portolan-data/admin.kubeconfig

  # The store of a stopped server
  portolan snapshot snapshot.db --data-dir=portolan-data`,
		Args: oneArg,
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
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Saved to %s: %d bytes, the checksum is right.\n", args[0], size)
			return err
		},
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig,
		"kubeconfig of a running server. The default is $KUBECONFIG or ~/.kube/config")
	excludeEachOther(cmd, "kubeconfig", "data-dir")
	excludeEachOther(cmd, "kubeconfig", "etcd-servers")
	return cmd
}

// saveStored saves the store of a stopped server, or an external etcd.
func (o *snapshotOptions) saveStored(ctx context.Context, path string, progress io.Writer) (int64, error) {
	// The format isn't checked: any store can be saved.
	store, err := o.connect(ctx)
	if err != nil {
		return 0, err
	}
	size, err := snapshot.Save(ctx, path, withProgress(progress, store.Snapshot))
	return size, errors.Join(err, store.Close())
}

// saveServed saves the store of a running server.
func (o *snapshotOptions) saveServed(ctx context.Context, path string, progress io.Writer) (int64, error) {
	config, _, err := clientConfig(o.kubeconfig, "")
	if err != nil {
		return 0, fmt.Errorf("%w; or name the directory of a stopped server with --data-dir", err)
	}
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return 0, err
	}
	return snapshot.Save(ctx, path, withProgress(progress, func(ctx context.Context) (io.ReadCloser, error) {
		stream, err := client.Get().AbsPath(snapshot.Path).Stream(ctx)
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("%s serves no snapshots: it is a release before v0.2, or a cluster; connect to Portolan directly", config.Host)
		}
		return stream, err
	}))
}

// withProgress prints at intervals how much of a stream has been read.
func withProgress(out io.Writer, source snapshot.Source) snapshot.Source {
	return func(ctx context.Context) (io.ReadCloser, error) {
		stream, err := source(ctx)
		if err != nil {
			return nil, err
		}
		return &progressReader{ReadCloser: stream, out: out, next: time.Now().Add(progressPeriod)}, nil
	}
}

type progressReader struct {
	io.ReadCloser
	out  io.Writer
	size int64
	next time.Time
}

// Read implements io.Reader.
func (r *progressReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.size += int64(n)
	if now := time.Now(); now.After(r.next) {
		r.next = now.Add(progressPeriod)
		fmt.Fprintf(r.out, "%d MiB so far\n", r.size>>20)
	}
	return n, err
}
