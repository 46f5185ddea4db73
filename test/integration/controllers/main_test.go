package controllers

import (
	"fmt"
	"os"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

func TestMain(m *testing.M) {
	// The fake clientset can't stream lists.
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", "false"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	framework.QuietMain(m)
}
