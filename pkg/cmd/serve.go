package cmd

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/features"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/portolan-dev/portolan/pkg/memory"
	"github.com/portolan-dev/portolan/pkg/server"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

func init() {
	// The gates must be registered before the first flag set is created.
	gates := utilfeature.DefaultMutableFeatureGate
	utilruntime.Must(logsapi.AddFeatureGates(gates))
	// Concurrent decoding starts a goroutine for each event of a watch of etcd, and its stack
	// grows while it decodes. Most objects are small and not converted by a webhook, so this
	// costs more than it saves: 28 % of the CPU time of a start with many Services.
	utilruntime.Must(gates.OverrideDefault(features.ConcurrentWatchObjectDecode, false))
}

func newServeCommand() *cobra.Command {
	o := options.New()
	sets := cliflag.NamedFlagSets{}
	o.AddFlags(&sets)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the API server",
		Long: "Runs the API server. Without flags it embeds an etcd in ./portolan-data and serves on " +
			"https://127.0.0.1:6443. The administrator's kubeconfig is ./portolan-data/admin.kubeconfig.",
		Example: `  # Everything in one process
  portolan serve
  # One of several replicas on an external etcd
  portolan serve --etcd-servers=https://etcd:2379 --etcd-cafile=ca.crt
  # Dual stack, and node ports from two ranges
  portolan serve --service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112 \
    --service-node-port-range=443,30000-32767`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Run.ComponentGlobalsRegistry.Set(); err != nil {
				return err
			}
			if err := applyLogs(o.Logs); err != nil {
				return err
			}
			// Apply would log an error about its own defaults.
			if changed(sets.FlagSet("metrics")) {
				o.Metrics.Apply()
			}
			ctx := genericapiserver.SetupSignalContext()
			go memory.Keep(ctx, os.Getenv("GOGC") == "")
			return markLogged(server.Run(ctx, o, cmd.OutOrStdout()), o.Logs.Format)
		},
	}
	addFlags(cmd, sets, options.Common()...)
	return cmd
}

func changed(fs *pflag.FlagSet) bool {
	changed := false
	fs.VisitAll(func(flag *pflag.Flag) { changed = changed || flag.Changed })
	return changed
}
