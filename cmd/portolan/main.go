// Command portolan is an API server for Kubernetes Services.
package main

import (
	"os"

	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"

	"github.com/portolan-dev/portolan/pkg/cmd"
)

func main() {
	os.Exit(cmd.Run(cmd.NewCommand()))
}
