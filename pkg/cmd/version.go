package cmd

import (
	"fmt"

	"github.com/spf13/cobra"
	etcdversion "go.etcd.io/etcd/api/v3/version"

	"github.com/portolan-dev/portolan/pkg/store/format"
	"github.com/portolan-dev/portolan/pkg/version"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the release and the versions of its libraries",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Portolan %s\nKubernetes libraries %s\netcd v%s\nStore format %d\n",
				version.Release(), version.Kubernetes(), etcdversion.Version, format.Known)
			return err
		},
	}
}
