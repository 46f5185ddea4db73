// Package version says which release of Portolan this is.
package version

import (
	"runtime/debug"
	"strings"

	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/component-base/compatibility"
)

// apiServer is the library whose release says which Kubernetes this server is
// like: v0.37.2 is that of v1.37.2.
const apiServer = "k8s.io/apiserver"

// release is what a build stamps with
// -ldflags "-X github.com/portolan-dev/portolan/pkg/version.release=v0.1.0".
var release string

// Release is the release of Portolan, such as v0.1.0. Where the build didn't
// stamp it, it is what the Go toolchain knows of the main module, which go
// install does, or "devel".
func Release() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// Kubernetes is the release of Kubernetes whose libraries the server is built
// on, such as v1.37.2, or empty if the binary doesn't say.
func Kubernetes() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, module := range info.Deps {
		if minor, ok := strings.CutPrefix(module.Version, "v0."); ok && module.Path == apiServer {
			return "v1." + minor
		}
	}
	return ""
}

// Effective makes an effective version tell clients at /version of Portolan's
// release. Clients compare the version of a server with that of Kubernetes
// (kubectl warns of a skew), so Portolan's own is build metadata:
// v1.37.2+portolan.v0.1.0. What the effective version switches on and off
// stays.
func Effective(inner compatibility.EffectiveVersion) compatibility.EffectiveVersion {
	return effective{inner}
}

type effective struct {
	compatibility.EffectiveVersion
}

// Info implements compatibility.EffectiveVersion.
func (e effective) Info() *apimachineryversion.Info {
	info := e.EffectiveVersion.Info()
	if info == nil {
		return nil
	}
	kubernetes := Kubernetes()
	if kubernetes == "" {
		kubernetes = "v" + info.Major + "." + info.Minor + ".0"
	}
	info.GitVersion = kubernetes + "+portolan." + strings.ReplaceAll(Release(), "+", ".")
	info.GitCommit, info.GitTreeState, info.BuildDate = commit()
	return info
}

// commit is what the Go toolchain noted of the working tree: all empty for a
// build with -buildvcs=false.
func commit() (revision, state, date string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", "", ""
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			revision = setting.Value
		case "vcs.time":
			date = setting.Value
		case "vcs.modified":
			if state = "clean"; setting.Value == "true" {
				state = "dirty"
			}
		}
	}
	return revision, state, date
}
