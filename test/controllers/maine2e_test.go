//go:build e2e

package controllers

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if err := silence(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
