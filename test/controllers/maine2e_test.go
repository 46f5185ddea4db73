//go:build e2e

package controllers

import (
	"fmt"
	"os"
	"testing"

	"github.com/portolan-dev/portolan/test/harness"
)

func TestMain(m *testing.M) {
	if err := silence(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	harness.Main(m)
}
