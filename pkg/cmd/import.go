package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/store/importer"
	"github.com/portolan-dev/portolan/pkg/store/verify"
)

type importOptions struct {
	storeOptions
	kubeconfig, snapshot, snapshotPrefix string
	plan                                 importer.Options
	dryRun                               bool
}

// newImportCommand returns the command import. It fails, and writes nothing, if there are
// problems.
func newImportCommand() *cobra.Command {
	o := importOptions{
		storeOptions: newStoreOptions(), snapshotPrefix: "/registry", plan: importer.Options{PortRange: "30000-32767"},
	}
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Fill an empty store with the Services of a cluster",
		Long: `Copies the Services, Endpoints, EndpointSlices, IPAddresses and ServiceCIDRs of a
cluster into an empty store, and creates the NodePorts. The source is the
cluster's API, or a snapshot of its etcd. The command changes nothing in the
source. It keeps UIDs, creation times, managed fields, status and owners.

The command imports everything, or it imports nothing and lists the problems:
values that two Services hold, claims without Services, Services without claims,
values outside the ranges, and values that can't be read. Only a snapshot shows
which node ports kube-apiserver has leaked.

With --repair, the command leaves out claims without Services and creates missing
claims. The report names each of them. For a value that two Services hold, add
--renumber: the oldest Service keeps the value and the others get another one.
Clients of those Services must then use the new value.

While an import runs, no server starts on the store. An import that fails removes
what it wrote. If it was killed, run the same command again: it removes what it
finds and starts over. At the end it prints the report of "portolan verify".`,
		Example: `  # See what would be imported, and which problems there are
  portolan import --etcd-snapshot=cluster.db --data-dir=./portolan-data --dry-run

  # From a snapshot into an external etcd
  portolan import --etcd-snapshot=cluster.db --etcd-servers=https://etcd:2379 \
    --etcd-cafile=ca.crt --etcd-certfile=client.crt --etcd-keyfile=client.key

  # From a running cluster, with repairs
  portolan import --kubeconfig=cluster.kubeconfig --data-dir=./portolan-data --repair`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			cmd.SilenceUsage = true
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return o.run(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.addFlags(cmd)
	o.addEncryptionFlag(cmd)
	o.addImportFlags(cmd)
	return cmd
}

func (o *importOptions) addImportFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Lookup("data-dir").Usage = "Data directory without a store. It is created if it doesn't exist"
	flags.StringVar(&o.Etcd.DefaultStorageMediaType, "storage-media-type", o.Etcd.DefaultStorageMediaType,
		"The server's --storage-media-type: the encoding of objects")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "Import from the cluster of this kubeconfig")
	flags.StringVar(&o.snapshot, "etcd-snapshot", "", "Import from this snapshot of the cluster's etcd, as etcdctl saves it")
	flags.StringVar(&o.snapshotPrefix, "snapshot-prefix", o.snapshotPrefix,
		"kube-apiserver's --etcd-prefix: the prefix of its keys in the snapshot")
	flags.StringVar(&o.plan.PortRange, "service-node-port-range", o.plan.PortRange,
		"kube-apiserver's --service-node-port-range, if the source doesn't show it")
	flags.StringSliceVar(&o.plan.CIDRs, "service-cluster-ip-range", nil,
		"kube-apiserver's --service-cluster-ip-range, if the source has no ServiceCIDRs")
	flags.BoolVar(&o.plan.Standalone, "standalone", false,
		"The store is for a standalone server: import namespaces, and let owners be v1 Services")
	flags.BoolVar(&o.plan.Repair, "repair", false, "Leave out claims without Services and create the claims that Services lack")
	flags.BoolVar(&o.plan.Renumber, "renumber", false,
		"With --repair: give another value to the younger ones of several Services that hold one")
	flags.BoolVar(&o.dryRun, "dry-run", false, "Print the plan, and write nothing")
}

func (o *importOptions) validate() error {
	switch {
	case o.kubeconfig == "" && o.snapshot == "":
		return errors.New("name the source with --kubeconfig or --etcd-snapshot")
	case o.kubeconfig != "" && o.snapshot != "":
		return errors.New("there are two sources: name one with --kubeconfig or --etcd-snapshot")
	case o.plan.Renumber && !o.plan.Repair:
		return errors.New("--renumber needs --repair")
	}
	return o.storeOptions.validate()
}

func (o *importOptions) run(ctx context.Context, out, progress io.Writer) error {
	stored, err := o.stored()
	if err != nil {
		return err
	}
	store, err := o.openEmpty(ctx)
	if err != nil {
		return err
	}
	if store == nil {
		return o.importInto(ctx, importer.Writer{}, out, progress)
	}
	writer := importer.Writer{Client: store.Client, Prefix: o.Etcd.StorageConfig.Prefix, Stored: stored, Progress: progress}
	err = writer.CheckEmpty(ctx)
	if err == nil {
		err = o.importInto(ctx, writer, out, progress)
	}
	var report verify.Report
	if err == nil && !o.dryRun {
		report, err = o.verified(ctx, store, stored)
	}
	if err := errors.Join(err, store.Close()); err != nil || o.dryRun {
		return err
	}
	if _, err := io.WriteString(out, report.String()); err != nil {
		return err
	}
	return report.Err()
}

// openEmpty opens the store, and creates it if it doesn't exist. A dry run creates none.
func (o *importOptions) openEmpty(ctx context.Context) (*etcd.Store, error) {
	if !o.Embedded() {
		return o.connect(ctx)
	}
	if o.dryRun {
		if _, err := os.Stat(filepath.Join(o.DataDir, "etcd", "member")); errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
	}
	return etcd.StartEmbedded(ctx, o.DataDir)
}

// importInto reads the source, prints the plan and, unless it is a dry run, writes it.
func (o *importOptions) importInto(ctx context.Context, writer importer.Writer, out, progress io.Writer) error {
	contents, source, err := o.read(ctx, progress)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "Read %s from %s.\n", contents.Summary(), source); err != nil {
		return err
	}
	plan, err := importer.NewPlan(contents, o.plan)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(out, plan.String()); err != nil {
		return err
	}
	if err := plan.Err(); err != nil {
		return err
	}
	if o.dryRun {
		_, err := fmt.Fprintf(out, "%d objects would be imported.\n", plan.Objects())
		return err
	}
	if err := writer.Write(ctx, plan, source); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Imported %d objects.\n", plan.Objects())
	return err
}

// read returns what the source has, and names the source.
func (o *importOptions) read(ctx context.Context, progress io.Writer) (contents *importer.Contents, source string, err error) {
	if o.snapshot != "" {
		contents, err = importer.FromSnapshot(ctx, o.snapshot, o.snapshotPrefix, progress)
		return contents, o.snapshot, err
	}
	config, err := readConfig(o.kubeconfig)
	if err != nil {
		return nil, "", err
	}
	config.WarningHandlerWithContext = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, "", fmt.Errorf("client of the cluster: %w", err)
	}
	contents, err = importer.FromCluster(ctx, client, progress)
	return contents, strings.TrimSuffix(config.Host, "/"), err
}

// verified checks the store that was filled.
func (o *importOptions) verified(ctx context.Context, store *etcd.Store, stored map[string]storage.Resource) (verify.Report, error) {
	contents, err := o.reader(store, stored, nil).Read(ctx)
	if err != nil {
		return verify.Report{}, err
	}
	return verify.Check(contents), nil
}
