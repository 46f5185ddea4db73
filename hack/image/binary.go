package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	module = "github.com/portolan-dev/portolan"
	stamp  = module + "/pkg/version.release"
)

// Binary is the server, built for a platform.
type Binary struct {
	Path     string
	Platform v1.Platform
	// Version is the release that is recorded in the binary.
	Version string
	// Revision is the commit that the binary was built from, and Time is the commit's
	// time. Both are empty if the build didn't use git.
	Revision string
	Time     time.Time
}

// Build builds the server for a platform, such as linux/arm64. The result doesn't
// depend on the place and time of the build.
func Build(ctx context.Context, source, dir, version, platform string) (Binary, error) {
	target, err := v1.ParsePlatform(platform)
	if err != nil {
		return Binary{}, fmt.Errorf("platform %q: %w", platform, err)
	}
	b := Binary{Path: filepath.Join(dir, target.OS+"-"+target.Architecture), Platform: *target, Version: version}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X "+stamp+"="+version, "-o", b.Path, "./cmd/portolan")
	cmd.Dir = source
	cmd.Stderr = os.Stderr
	// The environment's settings are overridden, but not those of go env -w, which may
	// turn off the use of git. The architecture levels are Go's defaults.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0",
		"GOOS="+target.OS, "GOARCH="+target.Architecture)
	if err := cmd.Run(); err != nil {
		return Binary{}, fmt.Errorf("building for %s: %w", platform, err)
	}
	info, err := buildinfo.ReadFile(b.Path)
	if err != nil {
		return Binary{}, err
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Revision = setting.Value
		case "vcs.time":
			if b.Time, err = time.Parse(time.RFC3339, setting.Value); err != nil {
				return Binary{}, err
			}
		}
	}
	return b, nil
}
