//go:build !linux

package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
)

// Enter ends the program: there are no network namespaces.
func Enter(...netip.Prefix) {
	fmt.Fprintf(os.Stderr, "these tests need a network namespace of their own, and %s has none: run them on Linux\n", runtime.GOOS)
	os.Exit(1)
}

// Possible says that there are none.
func Possible() error { return fmt.Errorf("%s has no network namespaces", runtime.GOOS) }

// Replace is of no use without Enter.
func Replace(string) error { return errors.ErrUnsupported }
