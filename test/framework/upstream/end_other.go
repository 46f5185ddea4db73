//go:build !linux

package upstream

import "os/exec"

// EndWithParent does nothing: only Linux has such a signal.
func EndWithParent(*exec.Cmd) {}
