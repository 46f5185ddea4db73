package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// refName is the annotation by which tools select an image in a layout.
const refName = "org.opencontainers.image.ref.name"

// Image returns the image for one platform.
func Image(binary Binary) (v1.Image, error) {
	files, err := server(binary.Path)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	created := v1.Time{Time: time.Unix(0, 0).UTC()}
	if !binary.Time.IsZero() {
		created.Time = binary.Time.UTC()
	}
	config.Created = created
	config.OS, config.Architecture, config.Variant = binary.Platform.OS, binary.Platform.Architecture, binary.Platform.Variant
	config.Config = v1.Config{
		User:         fmt.Sprintf("%d:%d", user, user),
		Entrypoint:   []string{"/portolan"},
		WorkingDir:   "/",
		ExposedPorts: map[string]struct{}{"6443/tcp": {}},
		Env:          []string{"PATH=/"},
		Labels:       labels(binary),
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		what  string
		files []file
	}{{"accounts and certificate authorities", system()}, {"portolan " + binary.Version, files}} {
		packed, err := layer(part.files)
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image,
			mutate.Addendum{Layer: packed, History: v1.History{Created: created, CreatedBy: "hack/image: " + part.what}})
		if err != nil {
			return nil, err
		}
	}
	return image, nil
}

func labels(binary Binary) map[string]string {
	all := map[string]string{
		"org.opencontainers.image.title":       "portolan",
		"org.opencontainers.image.description": "An API server for Kubernetes Services",
		"org.opencontainers.image.source":      "https://" + module,
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     binary.Version,
	}
	if binary.Revision != "" {
		all["org.opencontainers.image.revision"] = binary.Revision
	}
	return all
}

// Index returns the image for all platforms.
func Index(binaries []Binary) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, binary := range binaries {
		image, err := Image(binary)
		if err != nil {
			return nil, err
		}
		platform := binary.Platform
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return index, nil
}

// Write writes the image to dir as an OCI layout. It replaces an existing layout, and
// fails if dir holds anything else.
func Write(index v1.ImageIndex, dir, tag string) error {
	if err := vacate(dir); err != nil {
		return err
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	return path.AppendIndex(index, layout.WithAnnotations(map[string]string{refName: tag}))
}

func vacate(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(entries) == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "oci-layout")); err != nil {
		return fmt.Errorf("%s holds something other than an image: remove it, or choose another --out", strconv.Quote(dir))
	}
	return os.RemoveAll(dir)
}

// Push pushes the image to a registry and returns its name there, with the digest.
func Push(index v1.ImageIndex, to string) (string, error) {
	ref, err := name.NewTag(to)
	if err != nil {
		return "", err
	}
	if err := remote.WriteIndex(ref, index, remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return "", fmt.Errorf("pushing to %s: %w", ref, err)
	}
	digest, err := index.Digest()
	if err != nil {
		return "", err
	}
	return ref.Context().Digest(digest.String()).String(), nil
}
