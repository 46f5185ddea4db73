//go:build e2e

package moving

import (
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

func TestMain(m *testing.M) { framework.Main(m) }
