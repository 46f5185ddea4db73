//go:build !e2e

package controllers

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	// The fake clientset can't stream lists.
	err := os.Setenv("KUBE_FEATURE_WatchListClient", "false")
	if err == nil {
		err = silence()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
