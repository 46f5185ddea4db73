package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/api/v3/mvccpb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/pkg/adoption"
	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/store/verify"
)

type verifyOptions struct {
	storeOptions
	output, kubeconfig string
	repair, dryRun     bool
}

// newVerifyCommand returns the command verify. It prints violations to stdout, and
// fails if there are any or if the store can't be read.
func newVerifyCommand() *cobra.Command {
	o := verifyOptions{storeOptions: newStoreOptions()}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that a store's claims and Services agree",
		Long: `Reads the whole store at one etcd revision. It proves that every value that a
Service holds is claimed for it, that every claim's holder holds the value, and
that no address and no node port is held twice. It prints the counts and a line
for each violation, and fails if there are any.

The store is either the data directory of a stopped server, or an external etcd,
whose servers can keep running. Without --repair nothing in the store is
changed. An object that can't be decrypted with --encryption-provider-config is
a violation.

With --kubeconfig the Services of a cluster are compared too. It is a violation
if a name, an address or a node port is on both sides, or if a mirrored copy
differs from its source or has none. The command may report Services that change
while it runs: run it again. Endpoints are not compared.

Claims without a uid are reservations, which are not violations. A held value
that lies in no ServiceCIDR or NodePortRange is a warning: a range can be
deleted by force, and its values stay claimed. Warnings don't make the command
fail.

With --repair the command prints its plan, carries it out, and checks again. It
deletes claims that their Services don't hold, and creates the claims that
Services lack. Each repair is one transaction, which changes nothing if the
Service or the claim has changed since it was read. So the command can be
interrupted and run again, and servers of an external etcd can keep running. A
value that two Services hold, or that is reserved, is left alone, with advice.
Take a backup first, and see what would be done with --repair --dry-run.

The exit code is 0 if the store is consistent, or is after --repair. It is 1 if the
store is not consistent or can't be read.`,
		Example: `  # The store of a stopped server
  portolan verify --data-dir=./portolan-data

  # An external etcd
  portolan verify --etcd-servers=https://etcd:2379 \
    --etcd-cafile=ca.crt --etcd-certfile=client.crt --etcd-keyfile=client.key

  # Beside a cluster whose Services are mirrored
  portolan verify --etcd-servers=http://etcd:2379 --kubeconfig=cluster.kubeconfig

  # What would be repaired, and then the same for real
  portolan verify --data-dir=./portolan-data --repair --dry-run
  portolan verify --data-dir=./portolan-data --repair

  # Only the violations, for a script
  portolan verify -o json | jq -r '.violations[]'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			cmd.SilenceUsage = true
			return o.run(cmd)
		},
	}
	o.addFlags(cmd)
	o.addEncryptionFlag(cmd)
	cmd.Flags().BoolVar(&o.repair, "repair", false, "Delete claims without Services and create the claims that Services lack")
	cmd.Flags().StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster's own API server, to compare its Services as well")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "With --repair: print what would be done, and write nothing")
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "Output format: text or json")
	completeOutput(cmd, "text", "json")
	return cmd
}

func (o *verifyOptions) validate() error {
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("--output must be text or json, not %q", o.output)
	}
	if o.dryRun && !o.repair {
		return errors.New("--dry-run needs --repair: without it, verify writes nothing")
	}
	return o.storeOptions.validate()
}

func (o *verifyOptions) run(cmd *cobra.Command) error {
	stored, err := o.stored()
	if err != nil {
		return err
	}
	cluster, err := o.cluster()
	if err != nil {
		return err
	}
	store, err := o.open(cmd.Context())
	if err != nil {
		return err
	}
	v := verification{
		cluster: cluster,
		reader:  o.reader(store, stored, cmd.ErrOrStderr()),
		repairer: verify.Repairer{
			KV: store.Client, Prefix: o.Etcd.StorageConfig.Prefix,
			Encode: func(ctx context.Context, resource, name string, object runtime.Object) ([]byte, error) {
				put, err := stored[resource].Encode(ctx, name, object)
				return put.Value, err
			},
		},
		dryRun: o.dryRun,
		out:    cmd.OutOrStdout(),
	}
	if o.output == "json" {
		v.out = io.Discard
	}
	check := v.check
	if o.repair {
		check = v.repair
	}
	report, err := check(cmd.Context())
	// The store is closed before the report is printed: a reader of the report may
	// start a server at once, which needs the lock.
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	if isEmptyStore(report) {
		report.Warnings = append(report.Warnings, o.emptyWarning())
	}
	if err := o.print(cmd.OutOrStdout(), report); err != nil {
		return err
	}
	return report.Err()
}

// cluster returns the client of the cluster to compare with, or nil.
func (o *verifyOptions) cluster() (kubernetes.Interface, error) {
	if o.kubeconfig == "" {
		return nil, nil
	}
	config, _, err := clientConfig(o.kubeconfig, "")
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// reader returns a reader of an open store.
func (o storeOptions) reader(store *etcd.Store, stored map[string]storage.Resource, progress io.Writer) verify.Reader {
	return verify.Reader{
		Client: store.Client, Prefix: o.Etcd.StorageConfig.Prefix, Progress: progress,
		Decrypt: func(ctx context.Context, resource string, kv *mvccpb.KeyValue) ([]byte, error) {
			return stored[resource].Decrypt(ctx, kv)
		},
	}
}

// verification is one run on an open store.
type verification struct {
	reader   verify.Reader
	repairer verify.Repairer
	// cluster is nil if the store is checked alone.
	cluster kubernetes.Interface
	dryRun  bool
	// out receives the plan and what was done.
	out io.Writer
}

func (v verification) check(ctx context.Context) (verify.Report, error) {
	contents, err := v.reader.Read(ctx)
	if err != nil {
		return verify.Report{}, err
	}
	return v.report(ctx, contents)
}

func (v verification) report(ctx context.Context, contents verify.Contents) (verify.Report, error) {
	if v.cluster == nil {
		return verify.Check(contents), nil
	}
	found, err := adoption.ClusterServices(ctx, v.cluster, metav1.NamespaceAll)
	if err != nil {
		return verify.Report{}, fmt.Errorf("the cluster's Services: %w", err)
	}
	services := make([]corev1.Service, 0, len(found))
	for _, service := range found {
		services = append(services, *service)
	}
	return verify.CheckCluster(contents, services), nil
}

// repair repairs the store and returns the report of a second check.
func (v verification) repair(ctx context.Context) (verify.Report, error) {
	contents, err := v.reader.Read(ctx)
	if err != nil {
		return verify.Report{}, err
	}
	plan := verify.MakePlan(contents)
	if _, err := io.WriteString(v.out, plan.String()); err != nil {
		return verify.Report{}, err
	}
	if v.dryRun {
		report, err := v.report(ctx, contents)
		if err != nil {
			return verify.Report{}, err
		}
		for _, repair := range plan.Repairs {
			report.Repairs = append(report.Repairs, "planned: "+repair.Text)
		}
		return report, nil
	}
	var repairs []string
	for _, repair := range plan.Repairs {
		applied, err := v.repairer.Apply(ctx, repair)
		if err != nil {
			return verify.Report{}, err
		}
		text := "done: " + repair.Text
		if !applied {
			text = "not done, because an object has changed meanwhile (repair again): " + repair.Text
		}
		repairs = append(repairs, text)
		if _, err := fmt.Fprintln(v.out, text); err != nil {
			return verify.Report{}, err
		}
	}
	report, err := v.check(ctx)
	report.Repairs = repairs
	return report, err
}

func isEmptyStore(r verify.Report) bool {
	return r.Services+r.IPAddresses+r.NodePorts+r.ServiceCIDRs+r.NodePortRanges+r.LoadBalancerIPs+r.LoadBalancerPools+r.Unreadable == 0
}

func (o *verifyOptions) print(out io.Writer, report verify.Report) error {
	if o.output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}
	_, err := io.WriteString(out, report.String())
	return err
}
