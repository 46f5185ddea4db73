package cmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/occupancy"
	"github.com/portolan-dev/portolan/pkg/ui"
)

type uiOptions struct {
	kubeconfig, address string
	port                int
}

func newUICommand() *cobra.Command {
	o := uiOptions{address: "127.0.0.1"}
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Show the ranges in a browser, as maps of who holds what",
		Long: `Serves a page on this machine that shows each range as a map of cells, colored by how
many of their values are claimed. The page shows who holds a value and everything
that a Service holds, finds addresses, ports and Services, and changes as they do.

The command prints the address of the page. The address has a secret in it, because
everyone who opens the page sees what you may see. It is another one at each start.
The page can change nothing, and loads nothing from elsewhere.

The command acts with your rights. It lists and watches ranges and claims. A kind
that you may not read is left out, and the page says so. An interrupt ends it.`,
		Example: `  # Print the address of the page, and serve it until interrupted
  portolan ui

  # On another machine: there
  portolan ui --port 8001
  # and here, then open the address that it printed
  ssh -N -L 8001:127.0.0.1:8001 machine`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return explained(o.run(ctx, cmd.OutOrStdout()), "--kubeconfig")
		},
	}
	addKubeconfigFlag(cmd, &o.kubeconfig)
	cmd.Flags().StringVar(&o.address, "address", o.address, "Loopback address to listen on: 127.0.0.1 or ::1")
	cmd.Flags().IntVar(&o.port, "port", o.port, "Port to listen on (default any free port)")
	return cmd
}

func (o uiOptions) run(ctx context.Context, out io.Writer) error {
	config, _, err := clientConfig(o.kubeconfig, "")
	if err != nil {
		return err
	}
	config.WarningHandlerWithContext = rest.NoWarnings{}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	model := ui.NewModel(occupancy.Kinds()...)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		model.Run(ctx, client)
	}()
	// Cancel runs first.
	defer func() { <-followed }()
	defer cancel()
	if err := model.WaitAnswered(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	server, err := ui.Listen(ctx, o.address, o.port, config.Host, model)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "The ranges of %s are on\n\n  %s\n\nThe address has a secret in it. An interrupt ends this.\n",
		config.Host, server.URL()); err != nil {
		return err
	}
	return server.Serve(ctx)
}
