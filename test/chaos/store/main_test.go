// Package store tests full stores, and snapshots of stores in use.
package store

import (
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

func TestMain(m *testing.M) { framework.Main(m) }
