// Command portolan is an API server for Kubernetes Services.
package main

import (
	"os"
	"runtime/debug"

	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"

	"github.com/portolan-dev/portolan/pkg/cmd"
)

// gcPercent lets the heap grow to three times what is live before it is
// collected, instead of twice: a server of small requests spends a third of its
// time on allocation and collection otherwise. GOGC overrides it.
const gcPercent = 200

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(cmd.Run(cmd.NewCommand()))
}
