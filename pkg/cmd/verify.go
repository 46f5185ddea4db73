package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/verify"
)

type verifyOptions struct {
	dataDir, prefix, output   string
	servers                   []string
	caFile, certFile, keyFile string
}

// newVerifyCommand makes a command that returns an error if the store can't be
// read or has violations; those are printed on stdout first.
func newVerifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that a store's claims and Services agree",
		Long: `Reads the whole store at one etcd revision and proves that what every Service
holds is claimed for it, that every claim that names a holder is held by it, and
that no address and no node port is held twice. It prints what it checked, and
fails if anything is wrong, with a line for each violation.

The store is either the data directory of a server that has been stopped, or an
external etcd, whose servers may go on running. Nothing that is stored is
changed. What an encryption provider has encrypted can't be read, which counts
as a violation.

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
	flags := cmd.Flags()
	flags.StringVar(&o.dataDir, "data-dir", "./portolan-data", "Data directory of a server that has been stopped")
	flags.StringSliceVar(&o.servers, "etcd-servers", nil, "Read this external etcd instead (comma-separated URLs)")
	flags.StringVar(&o.caFile, "etcd-cafile", "", "CA certificate that the external etcd's is checked against")
	flags.StringVar(&o.certFile, "etcd-certfile", "", "Client certificate for the external etcd")
	flags.StringVar(&o.keyFile, "etcd-keyfile", "", "Key of the client certificate")
	flags.StringVar(&o.prefix, "etcd-prefix", "/registry", "What the server's keys begin with: its --etcd-prefix")
	flags.StringVarP(&o.output, "output", "o", "text", "Output format: text or json")
	cmd.MarkFlagsMutuallyExclusive("data-dir", "etcd-servers")
	cmd.MarkFlagsRequiredTogether("etcd-certfile", "etcd-keyfile")
	return cmd
}

func (o *verifyOptions) validate() error {
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("--output must be text or json, not %q", o.output)
	}
	if len(o.servers) == 0 && (o.caFile != "" || o.certFile != "") {
		return errors.New("--etcd-cafile and --etcd-certfile are for an external etcd: --etcd-servers is missing")
	}
	return nil
}

func (o *verifyOptions) run(cmd *cobra.Command) error {
	store, err := o.open(cmd)
	if err != nil {
		return err
	}
	contents, err := verify.Reader{Client: store.Client, Prefix: o.prefix, Progress: cmd.ErrOrStderr()}.Read(cmd.Context())
	// Before the report, so that nobody waits for the lock once it is out.
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	report := verify.Check(contents)
	if isEmptyStore(report) {
		report.Warnings = append(report.Warnings, fmt.Sprintf("nothing is stored under %s: is that the server's --etcd-prefix?", o.prefix))
	}
	if err := o.print(cmd.OutOrStdout(), report); err != nil {
		return err
	}
	return report.Err()
}

func (o *verifyOptions) open(cmd *cobra.Command) (*etcd.Store, error) {
	if len(o.servers) > 0 {
		transport := storagebackend.NewDefaultConfig(o.prefix, nil).Transport
		transport.ServerList = o.servers
		transport.TrustedCAFile, transport.CertFile, transport.KeyFile = o.caFile, o.certFile, o.keyFile
		return etcd.Connect(cmd.Context(), transport)
	}
	// etcd would make a new store here, which has no violations.
	if _, err := os.Stat(filepath.Join(o.dataDir, "etcd", "member")); err != nil {
		return nil, fmt.Errorf("%s is not a server's data directory: %w", o.dataDir, err)
	}
	return etcd.StartEmbedded(cmd.Context(), o.dataDir)
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
