// Package fault holds the tests of what a server does when something that it
// depends on fails.
package fault

import (
	"testing"

	"github.com/portolan-dev/portolan/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
