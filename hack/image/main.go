// Command image builds Portolan's container image without a container runtime. It
// writes an OCI layout with static binaries and little else. The same sources give the
// same digest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	source := flag.String("source", "../..", "The repository.")
	version := flag.String("version", "devel", "The release of the binaries and the image.")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "The platforms to build for, separated by commas.")
	out := flag.String("out", "", "The directory to write the OCI layout to. An existing layout is replaced.")
	push := flag.String("push", "",
		"The repository and tag to push the image to, such as registry.example/portolan:v1. The credentials of docker login are used.")
	flag.Parse()
	if err := run(context.Background(), *source, *version, strings.Split(*platforms, ","), *out, *push, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, source, version string, platforms []string, out, push string, progress io.Writer) (err error) {
	if out == "" {
		return errors.New("--out is required")
	}
	if push != "" {
		// Check the tag first, because building the binaries takes minutes.
		if _, err := name.NewTag(push); err != nil {
			return err
		}
	}
	binaries, err := os.MkdirTemp("", "portolan-image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(binaries)) }()
	var built []Binary
	for _, platform := range platforms {
		binary, err := Build(ctx, source, binaries, version, platform)
		if err != nil {
			return err
		}
		built = append(built, binary)
	}
	index, err := Index(built)
	if err != nil {
		return err
	}
	if err := Write(index, out, version); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "%s: %s for %s\n", out, digest, strings.Join(platforms, ", "))
	return deliver(index, out, version, push, progress)
}

// deliver pushes the image if push is set, and prints what to do next.
func deliver(index v1.ImageIndex, out, version, push string, progress io.Writer) error {
	if push == "" {
		fmt.Fprintf(progress, notPushed, out, version)
		return nil
	}
	pushed, err := Push(index, push)
	if err != nil {
		return err
	}
	repository, digest, _ := strings.Cut(pushed, "@")
	fmt.Fprintf(progress, isPushed, pushed, repository, digest)
	return nil
}

// The texts say what to do with the image.
const (
	notPushed = `
That is an OCI layout on this machine, in no registry. To push it, give a name
that your nodes can pull by, or have another tool read it:

  make image PUSH=registry.example.com/portolan:v0.1.0
  skopeo copy --all oci:%s:%s docker://registry.example.com/portolan:v0.1.0
`
	isPushed = `%s

Have your copy of artifacts/examples/cluster name it, then apply that
(artifacts/cluster/README.md):

  images:
  - name: registry.example/portolan
    newName: %s
    digest: %s
`
)
