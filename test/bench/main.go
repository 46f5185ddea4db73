// Command bench compares Portolan with kube-apiserver and with what etcd alone
// can commit, on this machine and in one run.
//
// Each server has its own fresh data directory with fsync on: kube-apiserver
// its own etcd, as it is run everywhere, Portolan its embedded one, as its users
// get it. Both are asked by the same client with the same Services, in protobuf,
// over the same number of connections. They take turns, round by round, so that
// whatever else the machine does falls on both; what is reported are medians
// over the rounds. Timings are only reported: none makes the program fail.
//
// What it leaves out: replicas, encryption at rest, watches other than the
// servers' own while requests are measured, and any load but Services.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/term"
)

// maxNodePorts leaves room in the default range of 2,768 node ports.
const maxNodePorts = 2500

type options struct {
	services, clients []int
	kinds             []string
	samples, rounds   int
	starts            int
	settle            time.Duration
	connections       int
	watches           int
	churned           int
	rest              time.Duration
	quick             bool
	large             int

	kubeAPIServer, etcd, portolan, baseline string
	dir                                     string
	json, profile, profiled                 string
}

func main() {
	// The client shares the machine with the servers. It should not spend more
	// of it on its own garbage than it must.
	debug.SetGCPercent(400)
	log.SetFlags(log.Ltime)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted; servers stopped, their data removed")
		}
		log.Fatalf("bench: %v", err)
	}
}

func newCommand() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Compare Portolan with kube-apiserver and with etcd alone",
		Long: `Builds kube-apiserver, etcd and portolan, runs them side by side, and prints
their rates, latencies, CPU time and memory as a Markdown table on stdout.
Progress goes to stderr. Building kube-apiserver takes minutes the first time.`,
		Example: `  # At most five minutes
  go run ./test/bench --quick

  # Two builds of Portolan in turns, and later two runs
  go run ./test/bench --baseline=/tmp/portolan-before --json=after.json
  go run ./test/bench compare before.json after.json
  go run ./test/bench plot after.json > plot.svg

  # Where kube-apiserver slows down
  go run ./test/bench --services=0,16000 --kinds=clusterip

  # Portolan alone with 100,000 Services, besides the comparison
  go run ./test/bench --large=100000

  # Portolan alone with a million Services, and next to nothing else (an hour)
  go run ./test/bench --quick --services=0 --large=1000000`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.quick {
				o.hurry(cmd.Flags().Changed)
			}
			if err := o.validate(); err != nil {
				return err
			}
			return run(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	sets := cliflag.NamedFlagSets{}
	o.addFlags(&sets)
	for _, name := range sets.Order {
		cmd.Flags().AddFlagSet(sets.FlagSets[name])
	}
	cmd.AddCommand(newCompareCommand(), newPlotCommand())
	columns, _, _ := term.TerminalSize(cmd.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(cmd, sets, columns)
	return cmd
}

func (o *options) addFlags(sets *cliflag.NamedFlagSets) {
	fs := sets.FlagSet("what to measure")
	fs.IntSliceVar(&o.services, "services", []int{0, 2000, 8000}, "How many Services to have in place, one level after the other.")
	fs.StringSliceVar(&o.kinds, "kinds", kinds, "Kinds of Services to create and delete.")
	fs.IntSliceVar(&o.clients, "clients", []int{1, 32}, "How many clients send requests at once.")
	fs.IntVar(&o.watches, "watches", 1000, "How many watches get the same change at the end. 0 leaves them out.")
	fs.IntVar(&o.churned, "churn", 20000,
		"How many Services to create and delete at the beginning, before memory is read again. 0 leaves it out.")
	fs.DurationVar(&o.rest, "rest", time.Minute, "How long to leave the servers alone after that.")
	fs.IntVar(&o.large, "large", 0, "Also measure Portolan alone with this many Services in place, and requests beside an empty one. 0 leaves it out.")

	fs = sets.FlagSet("how long to measure")
	fs.BoolVar(&o.quick, "quick", false, "At most five minutes: fewer Services, samples and rounds, where no other flag says how many.")
	fs.IntVar(&o.samples, "samples", 480, "Requests in one measurement.")
	fs.IntVar(&o.rounds, "rounds", 3, "How often each measurement is made. Medians over these are reported.")
	fs.IntVar(&o.starts, "starts", 3, "How often the time from start to ready is measured.")
	fs.DurationVar(&o.settle, "settle", 10*time.Second,
		"How long to leave the servers alone before their memory is read and before the first measurement.")
	fs.IntVar(&o.connections, "connections", 4, "HTTP/2 connections that the clients of a server share.")

	fs = sets.FlagSet("programs and files")
	fs.StringVar(&o.kubeAPIServer, "kube-apiserver", "", "A kube-apiserver to run. Without it, one is built from hack/kubernetes into .bin/.")
	fs.StringVar(&o.etcd, "etcd", "",
		"An etcd to run beside kube-apiserver and alone. Without it, one is built from hack/kubernetes into .bin/.")
	fs.StringVar(&o.portolan, "portolan", "", "A portolan to run. Without it, one is built from this tree into .bin/.")
	fs.StringVar(&o.baseline, "baseline", "", "Another portolan to run beside it, such as an earlier build.")
	fs.StringVar(&o.dir, "dir", "", "Directory to make the servers' data directories in. Its disk is what is measured. The default is .bin/, "+
		"since /tmp is held in memory on many machines and fsync costs nothing there.")

	fs = sets.FlagSet("output")
	fs.StringVar(&o.json, "json", "", "File to write everything that was measured to, each round, as JSON.")
	fs.StringVar(&o.profile, "profile", "", "File to write a CPU profile of Portolan to, taken at the end while the most clients send requests.")
	fs.StringVar(&o.profiled, "profile-request", opCreate,
		"The request that is profiled: create (Services of the first kind), or "+strings.Join(namesOf(operations), ", ")+".")
}

// hurry sets what nobody has set to what takes less than five minutes.
func (o *options) hurry(changed func(flag string) bool) {
	if !changed("services") {
		o.services = []int{0, 2000}
	}
	if !changed("samples") {
		o.samples = 240
	}
	if !changed("rounds") {
		o.rounds = 3
	}
	if !changed("clients") {
		o.clients = []int{fillClients}
	}
	if !changed("watches") {
		o.watches = 200
	}
	if !changed("churn") {
		o.churned = 3000
	}
	if !changed("starts") {
		o.starts = 1
	}
	if !changed("settle") {
		o.settle = 5 * time.Second
	}
}

func (o *options) validate() error {
	var errs []error
	for _, kind := range o.kinds {
		if !slices.Contains(kinds, kind) {
			errs = append(errs, fmt.Errorf("--kinds: %q is not one of %v", kind, kinds))
		}
	}
	if slices.Contains(o.kinds, nodePort) && o.samples > maxNodePorts {
		errs = append(errs, fmt.Errorf("--samples: at most %d for %s, the range of node ports is small", maxNodePorts, nodePort))
	}
	for flag, values := range map[string][]int{
		"samples": {o.samples}, "rounds": {o.rounds}, "starts": {o.starts}, "connections": {o.connections}, "clients": o.clients,
	} {
		if len(values) == 0 || slices.Min(values) < 1 {
			errs = append(errs, fmt.Errorf("--%s must be 1 or more", flag))
		}
	}
	if len(o.services) > 0 && slices.Min(o.services) < 0 || min(o.large, o.watches, o.churned) < 0 {
		errs = append(errs, errors.New("--services, --large, --watches and --churn must not be negative"))
	}
	if o.profiled != opCreate && !slices.Contains(namesOf(operations), o.profiled) {
		errs = append(errs, fmt.Errorf("--profile-request: %q is not one of %v", o.profiled, append([]string{opCreate}, namesOf(operations)...)))
	}
	if len(o.kinds) == 0 {
		errs = append(errs, errors.New("--kinds must not be empty"))
	}
	// Services are only ever added.
	slices.Sort(o.services)
	return errors.Join(errs...)
}
