// Command image builds Portolan's container image without a container runtime:
// static binaries in an otherwise almost empty image, as an OCI layout. The same
// sources give the same digest.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	source := flag.String("source", "../..", "The repository.")
	version := flag.String("version", "devel", "The release that the binaries and the image say they are.")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "What to build for, with commas between.")
	out := flag.String("out", "", "The directory to write the OCI layout to. What it has is replaced.")
	push := flag.String("push", "", "The repository and tag to push the image to, such as registry.example/portolan:v1. Credentials are those of docker login.")
	flag.Parse()
	if err := run(context.Background(), *source, *version, strings.Split(*platforms, ","), *out, *push); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, source, version string, platforms []string, out, push string) error {
	if out == "" {
		return fmt.Errorf("--out says where to write the image to")
	}
	binaries, err := os.MkdirTemp("", "portolan-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(binaries)
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
	fmt.Printf("%s: %s for %s\n", out, digest, strings.Join(platforms, ", "))
	if push == "" {
		return nil
	}
	pushed, err := Push(index, push)
	if err != nil {
		return err
	}
	fmt.Println(pushed)
	return nil
}
