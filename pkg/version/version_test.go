package version

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/component-base/compatibility"
)

func TestRelease(t *testing.T) {
	if got := Release(); got == "" || got == "(devel)" {
		t.Errorf("a build that sets no release has %q", got)
	}
	release = "v1.2.3"
	defer func() { release = "" }()
	if got := Release(); got != "v1.2.3" {
		t.Errorf("got %q", got)
	}
}

// TestEffective expects clients to parse the version as that of Kubernetes.
func TestEffective(t *testing.T) {
	release = "v0.2.0-3-gabc+dirty"
	defer func() { release = "" }()
	inner := compatibility.NewEffectiveVersionFromString("1.37", "1.34", "1.34")
	outer := Effective(inner)
	info := outer.Info()
	parsed, err := version.ParseSemantic(info.GitVersion)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Major() != 1 || parsed.Minor() != 37 || parsed.BuildMetadata() != "portolan.v0.2.0-3-gabc.dirty" {
		t.Errorf("got %s", info.GitVersion)
	}
	if info.Major != "1" || info.Minor != "37" || info.EmulationMinor != "37" {
		t.Errorf("got %+v", info)
	}
	if !outer.EqualTo(inner) || !outer.BinaryVersion().EqualTo(inner.BinaryVersion()) {
		t.Errorf("%v is not %v", outer, inner)
	}
	if info := Effective(compatibility.NewEffectiveVersionFromString("", "", "")).Info(); info != nil {
		t.Errorf("no version is %v", info)
	}
}
