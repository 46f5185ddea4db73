package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/pkg/controllers/mirror"
	"github.com/portolan-dev/portolan/pkg/controllers/writeback"
	"github.com/portolan-dev/portolan/pkg/metrics"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

type controllersOptions struct {
	kubeconfig, portolanKubeconfig string
	inCluster                      bool
	address                        string
	controllers                    *controllers.Options
	logs                           *logs.Options
}

func newControllersCommand() *cobra.Command {
	o := controllersOptions{address: "127.0.0.1:10290", controllers: controllers.NewOptions(), logs: logs.NewOptions()}
	sets := cliflag.NamedFlagSets{}
	o.addFlags(&sets)
	cmd := &cobra.Command{
		Use:   "controllers",
		Short: "Run the controllers that create Endpoints and EndpointSlices from Pods",
		Long: `Runs the controllers in a separate process. portolan serve runs them as well,
unless it is started with --controllers=false. Only the process that holds the
lease is active; the others wait for the lease.

The controllers read Pods and Nodes from the cluster. They read Services from
Portolan and write Endpoints and EndpointSlices to it, directly or, if Portolan
is registered there, through the cluster's API server.`,
		Example: `  # Portolan is reached through the cluster
  portolan controllers --kubeconfig=cluster.kubeconfig

  # Portolan is reached directly
  portolan controllers --in-cluster --portolan-kubeconfig=portolan.kubeconfig`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := errors.Join(o.validate()...); err != nil {
				return err
			}
			if err := applyLogs(o.logs); err != nil {
				return err
			}
			return markLogged(o.run(genericapiserver.SetupSignalContext()), o.logs.Format)
		},
	}
	addFlags(cmd, sets, commonOfControllers()...)
	return cmd
}

func commonOfControllers() []options.CommonFlags {
	return []options.CommonFlags{
		{Title: "What it reads and writes", Flags: []options.CommonFlag{
			{Name: "kubeconfig", Summary: "Cluster with the Pods, the Nodes and the lease"},
			{Name: "in-cluster", Summary: "Use the cluster that it runs in instead"},
			{Name: "portolan-kubeconfig", Summary: "Portolan, if not reached through the cluster"},
		}},
		{Title: "How it runs", Flags: []options.CommonFlag{
			{Name: "concurrent-endpoint-syncs", Summary: "Services that each controller syncs at a time"},
			{Name: "leader-elect", Summary: "Only one of several processes is active (true)"},
			{Name: "http-address", Summary: "Address that serves health and metrics"},
			{Name: "v", Summary: "Log level (0)"},
			{Name: "logging-format", Summary: "text or json"},
		}},
	}
}

func (o *controllersOptions) addFlags(sets *cliflag.NamedFlagSets) {
	fs := sets.FlagSet("cluster")
	fs.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig,
		"kubeconfig of the cluster with the Pods, the Nodes and the lease.")
	fs.BoolVar(&o.inCluster, "in-cluster", o.inCluster,
		"Use the cluster that the process runs in, with the service account of its Pod, instead of --kubeconfig.")
	fs.StringVar(&o.portolanKubeconfig, "portolan-kubeconfig", o.portolanKubeconfig,
		"kubeconfig of Portolan. By default Portolan is reached through the cluster.")
	o.controllers.AddFlags(sets.FlagSet("controllers"))
	o.addServingFlags(sets.FlagSet("serving"))
	logsapi.AddFlags(o.logs, sets.FlagSet("logs"))
}

func (o *controllersOptions) addServingFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.address, "http-address", o.address,
		"Address that serves /healthz, /livez, /readyz and /metrics over plain HTTP, without authentication. If empty, nothing is served.")
}

func (o *controllersOptions) validate() []error {
	errs := o.controllers.Validate()
	if (o.kubeconfig == "") != o.inCluster {
		errs = append(errs, errors.New("exactly one of --kubeconfig and --in-cluster must be set"))
	}
	return errs
}

func (o *controllersOptions) run(ctx context.Context) error {
	cluster, err := o.clusterConfig()
	if err != nil {
		return err
	}
	portolan := cluster
	if o.portolanKubeconfig != "" {
		if portolan, err = readConfig(o.portolanKubeconfig); err != nil {
			return err
		}
	}
	client, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return fmt.Errorf("client of the cluster: %w", err)
	}
	ranges, err := versioned.NewForConfig(portolan)
	if err != nil {
		return fmt.Errorf("client of Portolan: %w", err)
	}
	stop, err := o.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	leadership := controllers.NewLeadership()
	legacyregistry.CustomMustRegister(metrics.NewLeaderCollector(leadership))
	status := mirror.NewStatus()
	if o.controllers.MirrorClusterServices {
		legacyregistry.CustomMustRegister(metrics.NewMirrorCollector(status))
	}
	written := writeback.NewStatus()
	if o.controllers.WriteBackServices {
		legacyregistry.CustomMustRegister(metrics.NewWriteBackCollector(written))
	}
	return controllers.Run(ctx, controllers.Config{
		Cluster: client, Portolan: portolan, Ranges: ranges, Options: o.controllers, Leadership: leadership, Mirrored: status,
		WriteBack: cluster, WrittenBack: written,
	})
}

func (o *controllersOptions) clusterConfig() (*rest.Config, error) {
	if !o.inCluster {
		return readConfig(o.kubeconfig)
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, err
	}
	return unlimited(config), nil
}

func readConfig(file string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", file, err)
	}
	return unlimited(config), nil
}

// unlimited removes the client-side rate limit: the server limits clients itself.
func unlimited(config *rest.Config) *rest.Config {
	config.QPS = -1
	return rest.AddUserAgent(config, "controllers")
}

// serve serves health and metrics until stop is called.
func (o *controllersOptions) serve(ctx context.Context) (stop func(), err error) {
	if o.address == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		return nil, fmt.Errorf("--http-address: %w", err)
	}
	mux := http.NewServeMux()
	healthz.InstallHandler(mux)
	healthz.InstallLivezHandler(mux)
	healthz.InstallReadyzHandler(mux)
	mux.Handle("/metrics", legacyregistry.Handler())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			klog.FromContext(ctx).Error(err, "Serving health and metrics failed")
		}
	}()
	return func() {
		if err := server.Close(); err != nil {
			klog.FromContext(ctx).Error(err, "Closing the listener for health and metrics failed")
		}
	}, nil
}
