// Package store holds the tests of what a server does when something that it
// depends on fails.
package store

import (
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

func TestMain(m *testing.M) { framework.Main(m) }
