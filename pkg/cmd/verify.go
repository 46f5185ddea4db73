package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/portolan-dev/portolan/pkg/verify"
)

type verifyOptions struct {
	storeOptions
	output string
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
external etcd, whose servers may go on running. Nothing that is stored is
changed. What the providers of --encryption-provider-config can't decrypt can't
be read, which counts as a violation.

Claims that name no uid are reservations and fine. A value that is held but lies
in no ServiceCIDR or NodePortRange is a warning: ranges can be taken away by
force, and what is held stays claimed. Warnings don't make it fail.`,
		Example: `  # The store of a server that has been stopped
  portolan verify --data-dir=./portolan-data

  # An external etcd
  portolan verify --etcd-servers=https://etcd:2379 \
    --etcd-cafile=ca.crt --etcd-certfile=client.crt --etcd-keyfile=client.key

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
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "Output format: text or json")
	return cmd
}

func (o *verifyOptions) validate() error {
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("--output must be text or json, not %q", o.output)
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
	reader := verify.Reader{Client: store.Client, Prefix: o.Etcd.StorageConfig.Prefix, Progress: cmd.ErrOrStderr()}
	reader.Decrypt = func(ctx context.Context, resource string, kv *mvccpb.KeyValue) ([]byte, error) {
		return stored[resource].Decrypt(ctx, kv)
	}
	contents, err := reader.Read(cmd.Context())
	// Before the report, so that nobody waits for the lock once it is out.
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	report := verify.Check(contents)
	if isEmptyStore(report) {
		report.Warnings = append(report.Warnings, o.emptyWarning())
	}
	if err := o.print(cmd.OutOrStdout(), report); err != nil {
		return err
	}
	return report.Err()
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
