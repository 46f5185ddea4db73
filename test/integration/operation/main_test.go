// Package operation tests what those who run a server use. They are one package because
// each test binary links the whole server.
//
//   - errors, flowstyle, log, makefile and pages: what a user of the command portolan reads,
//     which is help, errors, warnings, the log and the documentation.
//   - metrics, counters and scrape: what a server exports for Prometheus.
//   - dashboard and promql: the dashboard and the alerts that are made of it.
package operation

import (
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

func TestMain(m *testing.M) { framework.Main(m) }
