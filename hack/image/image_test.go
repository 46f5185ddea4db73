package main

import (
	"archive/tar"
	"crypto/x509"
	"debug/elf"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const (
	source  = "../.."
	version = "v0.0.0-test"
)

// TestImage builds the image of a small program for this machine twice, and checks its
// contents.
func TestImage(t *testing.T) {
	t.Parallel()
	platform := "linux/" + runtime.GOARCH
	out := filepath.Join(t.TempDir(), "image")
	source := smallSource(t)
	var index v1.ImageIndex
	var digests []string
	for range 2 {
		if err := run(t.Context(), source, version, []string{platform}, out, "", t.Output()); err != nil {
			t.Fatal(err)
		}
		index = open(t, out)
		digests = append(digests, digest(t, index))
	}
	if digests[0] != digests[1] {
		t.Errorf("two builds are %q", digests)
	}
	checkImage(t, pick(t, index, 1, platform))
}

// smallSource writes the sources of a program that is built like Portolan but compiles
// fast.
func smallSource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                 "module " + module + "\n",
		"pkg/version/version.go": "package version\n\nvar release string\n\nfunc Release() string { return release }\n",
		"cmd/portolan/main.go": "package main\n\nimport \"" + module + "/pkg/version\"\n\n" +
			"func main() { println(version.Release()) }\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// checkImage checks that an image for this machine has the contents of Portolan's.
func checkImage(t *testing.T, image v1.Image) {
	t.Helper()
	checkConfig(t, image)
	files := extract(t, image)
	checkFiles(t, files)
	checkBinary(t, files["portolan"].content)
}

func checkConfig(t *testing.T, image v1.Image) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config := file.Config
	if config.User != "65532:65532" || !slices.Equal(config.Entrypoint, []string{"/portolan"}) || len(config.Cmd) > 0 || file.OS != "linux" ||
		file.Architecture != runtime.GOARCH {
		t.Errorf("got %+v for %s/%s", config, file.OS, file.Architecture)
	}
	if got := config.Labels["org.opencontainers.image.version"]; got != version {
		t.Errorf("the label is %q", got)
	}
	mediaType, err := image.MediaType()
	if err != nil || mediaType != types.OCIManifestSchema1 {
		t.Errorf("%s, %v", mediaType, err)
	}
}

func checkFiles(t *testing.T, files map[string]packed) {
	t.Helper()
	var names []string
	for name, f := range files {
		names = append(names, name)
		if f.header.Uid != 0 || f.header.Gid != 0 || f.header.Mode&0o022 != 0 {
			t.Errorf("%s can be changed by the server: %d:%d %o", name, f.header.Uid, f.header.Gid, f.header.Mode)
		}
		if f.header.ModTime.Unix() != 0 {
			t.Errorf("%s is of %v", name, f.header.ModTime)
		}
	}
	slices.Sort(names)
	want := []string{"etc", "etc/group", "etc/passwd", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/ca-certificates.crt", "portolan"}
	if !slices.Equal(names, want) {
		t.Errorf("the image has %q", names)
	}
	if !strings.Contains(string(files["etc/passwd"].content), ":65532:65532:") {
		t.Errorf("nobody is 65532 in:\n%s", files["etc/passwd"].content)
	}
	certificates := 0
	for rest := files["etc/ssl/certs/ca-certificates.crt"].content; ; certificates++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			t.Error(err)
		}
	}
	if certificates < 80 {
		t.Errorf("only %d certificate authorities", certificates)
	}
}

// checkBinary runs the server in the image.
func checkBinary(t *testing.T, content []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "portolan")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 || file.Section(".interp") != nil {
		t.Errorf("the binary isn't static: %q, %v", libraries, err)
	}
	for _, args := range [][]string{{"--version"}, {"serve", "--help"}} {
		out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
		if args[0] == "--version" && !strings.Contains(string(out), version) {
			t.Errorf("%q prints %s", args, out)
		}
	}
}

// TestPush pushes an image for two platforms to a registry and pulls it again.
func TestPush(t *testing.T) {
	t.Parallel()
	index := small(t)
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/portolan"
	var out strings.Builder
	if err := deliver(index, "", "v1", repository+":v1", &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{repository + "@" + digest(t, index) + "\n", "newName: " + repository + "\n",
		"digest: " + digest(t, index) + "\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not in:\n%s", want, &out)
		}
	}
	ref, err := name.ParseReference(repository + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, architecture := range []string{"amd64", "arm64"} {
		image, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(extract(t, image)["portolan"].content); got != architecture {
			t.Errorf("the image for %s has the server of %s", architecture, got)
		}
	}
	if err := run(t.Context(), source, version, nil, t.TempDir(), repository+":", io.Discard); err == nil ||
		!strings.Contains(err.Error(), repository) {
		t.Errorf("no tag: %v", err)
	}
	out.Reset()
	if err := deliver(index, "/layout", "v1", "", &out); err != nil || !strings.Contains(out.String(), "oci:/layout:v1 ") {
		t.Errorf("not pushed: %v:\n%s", err, &out)
	}
}

// TestWrite expects Write to leave a directory alone that doesn't hold an image.
func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(small(t), dir, "v1"); err == nil {
		t.Error("a directory with files was written to")
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err != nil {
		t.Error(err)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"linux/amd65", "a/b/c/d"} {
		if _, err := Build(t.Context(), source, t.TempDir(), version, platform); err == nil {
			t.Errorf("built for %s", platform)
		}
	}
}

// small returns an image for two platforms with a small file as the server.
func small(t *testing.T) v1.ImageIndex {
	t.Helper()
	var binaries []Binary
	for _, architecture := range []string{"amd64", "arm64"} {
		path := filepath.Join(t.TempDir(), architecture)
		if err := os.WriteFile(path, []byte(architecture), 0o755); err != nil {
			t.Fatal(err)
		}
		binaries = append(binaries, Binary{Path: path, Version: "v1", Platform: v1.Platform{OS: "linux", Architecture: architecture}})
	}
	index, err := Index(binaries)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// open reads the only index in a layout and validates all of it.
func open(t *testing.T, dir string) v1.ImageIndex {
	t.Helper()
	outer, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := outer.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Annotations[refName] != version {
		t.Fatalf("the layout has %+v", manifest.Manifests)
	}
	index, err := outer.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Fatal(err)
	}
	return index
}

// pick returns the image for a platform in an index with a number of images.
func pick(t *testing.T, index v1.ImageIndex, images int, platform string) v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != images {
		t.Fatalf("the index has %+v", manifest.Manifests)
	}
	for _, described := range manifest.Manifests {
		if described.Platform.String() != platform {
			continue
		}
		image, err := index.Image(described.Digest)
		if err != nil {
			t.Fatal(err)
		}
		return image
	}
	t.Fatalf("%s is not in %+v", platform, manifest.Manifests)
	return nil
}

func digest(t *testing.T, index v1.ImageIndex) string {
	t.Helper()
	hash, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}

type packed struct {
	header  *tar.Header
	content []byte
}

// extract returns the files that a container of the image sees, by name.
func extract(t *testing.T, image v1.Image) map[string]packed {
	t.Helper()
	stream := mutate.Extract(image)
	defer stream.Close()
	files := map[string]packed{}
	for reader := tar.NewReader(stream); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimSuffix(header.Name, "/")] = packed{header, content}
	}
}
