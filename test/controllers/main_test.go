// Package controllers tests the controllers beside a real Portolan. The Pods and
// Nodes of the cluster are in a fake clientset.
package controllers

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	// The fake clientset can't stream lists.
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", "false"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
