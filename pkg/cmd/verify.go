package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/store/verify"
)

type verifyOptions struct {
	storeOptions
	output         string
	repair, dryRun bool
}

// newVerifyCommand makes a command that returns an error if the store can't be
// read or has violations; those are printed on stdout first.
func newVerifyCommand() *cobra.Command {
	o := verifyOptions{storeOptions: newStoreOptions()}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that a store's claims and Services agree",
		Long: `Reads the whole store at one etcd revision and proves that what every Service
holds is claimed for it, that every claim that names a holder is held by it, and
that no address and no node port is held twice. It prints what it checked, and
fails if anything is wrong, with a line for each violation.

The store is either the data directory of a server that has been stopped, or an
external etcd, whose servers may go on running. Without --repair nothing that is
stored is changed. What the providers of --encryption-provider-config can't decrypt can't
be read, which counts as a violation.

Claims that name no uid are reservations and fine. A value that is held but lies
in no ServiceCIDR or NodePortRange is a warning: ranges can be taken away by
force, and what is held stays claimed. Warnings don't make it fail.

With --repair it prints what it is going to do, does it, and checks again. Claims
that their Services don't hold are deleted, and Services get the claims that they
lack. Each is one transaction, which changes nothing if the Service or the claim
has changed since it was read; so it can be interrupted and run again, and servers
of an external etcd may go on running. A value that two Services hold, or that is
reserved, is left alone: it says what to do about it. Take a backup first, and see
with --repair --dry-run what would be done.

The exit code is 0 if the store is consistent, with --repair if it is so
afterwards, and 1 if it is not or could not be read.`,
		Example: `  # The store of a server that has been stopped
  portolan verify --data-dir=./portolan-data

  # An external etcd
  portolan verify --etcd-servers=https://etcd:2379 \
    --etcd-cafile=ca.crt --etcd-certfile=client.crt --etcd-keyfile=client.key

  # What would be repaired, and then the same for real
  portolan verify --data-dir=./portolan-data --repair --dry-run
  portolan verify --data-dir=./portolan-data --repair

  # Only the violations, for a script
  portolan verify -o json | jq -r '.violations[]'`,
		Args: cobra.NoArgs,
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
	cmd.Flags().BoolVar(&o.repair, "repair", false, "Delete claims without Services and make the claims that Services lack")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "With --repair: say what would be done and write nothing")
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "Output format: text or json")
	return cmd
}

func (o *verifyOptions) validate() error {
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("--output must be text or json, not %q", o.output)
	}
	if o.dryRun && !o.repair {
		return errors.New("--dry-run is for --repair, which is missing: verify writes nothing by itself")
	}
	return o.storeOptions.validate()
}

func (o *verifyOptions) run(cmd *cobra.Command) error {
	stored, err := o.stored()
	if err != nil {
		return err
	}
	store, err := o.open(cmd.Context())
	if err != nil {
		return err
	}
	v := verification{
		reader: o.reader(store, stored, cmd.ErrOrStderr()),
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
	// Before the report, so that nobody waits for the lock once it is out.
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

// reader reads a store that is open.
func (o storeOptions) reader(store *etcd.Store, stored map[string]storage.Resource, progress io.Writer) verify.Reader {
	return verify.Reader{
		Client: store.Client, Prefix: o.Etcd.StorageConfig.Prefix, Progress: progress,
		Decrypt: func(ctx context.Context, resource string, kv *mvccpb.KeyValue) ([]byte, error) {
			return stored[resource].Decrypt(ctx, kv)
		},
	}
}

// verification is one run on a store that is open.
type verification struct {
	reader   verify.Reader
	repairer verify.Repairer
	dryRun   bool
	// out is told what is planned and done.
	out io.Writer
}

func (v verification) check(ctx context.Context) (verify.Report, error) {
	contents, err := v.reader.Read(ctx)
	if err != nil {
		return verify.Report{}, err
	}
	return verify.Check(contents), nil
}

// repair returns the report on the store as it is afterwards.
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
		report := verify.Check(contents)
		for _, repair := range plan.Repairs {
			report.Repairs = append(report.Repairs, "planned: "+repair.Text)
		}
		return report, nil
	}
	var repairs []string
	for _, repair := range plan.Repairs {
		done, err := v.repairer.Apply(ctx, repair)
		if err != nil {
			return verify.Report{}, err
		}
		text := "done: " + repair.Text
		if !done {
			text = "not done, as it has changed meanwhile (repair again): " + repair.Text
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
	return r.Services+r.IPAddresses+r.NodePorts+r.ServiceCIDRs+r.NodePortRanges+r.Unreadable == 0
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
