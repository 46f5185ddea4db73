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

// gcPercent lets the heap grow to three times its live size before a collection,
// instead of twice. Otherwise a server with many small requests spends a third of its
// time on allocation and collection. GOGC overrides it.
const gcPercent = 200

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(cmd.Run(cmd.NewCommand()))
}
