//go:build e2e

package main

import (
	"path/filepath"
	"runtime"
	"testing"
)

// TestPortolan builds the image as make image does, for two platforms and twice,
// and looks at what is in the one for this machine.
func TestPortolan(t *testing.T) {
	platforms := []string{"linux/amd64", "linux/arm64"}
	out := filepath.Join(t.TempDir(), "image")
	var digests []string
	for range 2 {
		if err := run(t.Context(), source, version, platforms, out, "", t.Output()); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest(t, open(t, out)))
	}
	if digests[0] != digests[1] {
		t.Errorf("two builds are %q", digests)
	}
	for _, platform := range platforms {
		image := pick(t, open(t, out), len(platforms), platform)
		if platform == "linux/"+runtime.GOARCH {
			checkImage(t, image)
		}
	}
}
