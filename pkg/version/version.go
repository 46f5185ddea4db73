// Package version returns the release of Portolan and of its libraries.
package version

import (
	"runtime/debug"
	"strings"

	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/component-base/compatibility"
)

// apiServer is the library whose version determines the Kubernetes release: v0.37.2
// belongs to v1.37.2.
const apiServer = "k8s.io/apiserver"

// release is set by a build with
// -ldflags "-X github.com/portolan-dev/portolan/pkg/version.release=v0.1.0".
var release string

// Release returns the release of Portolan, such as v0.1.0. If the build didn't set
// it, Release returns the version of the main module, which go install records, or
// "devel".
func Release() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// Kubernetes returns the Kubernetes release of the server's libraries, such as
// v1.37.2, or "" if the binary has no record of it.
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

// Effective adds Portolan's release to the version that clients read at /version.
// Clients compare a server's version with that of Kubernetes (kubectl warns about a
// skew), so Portolan's release is build metadata: v1.37.2+portolan.v0.1.0. The
// features that inner enables don't change.
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

// commit returns what the Go toolchain recorded about the working tree. A build with
// -buildvcs=false has no such record.
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
