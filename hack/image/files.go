package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	// user is the unprivileged user that the server runs as. The number is the one that
	// distroless images use.
	user = 65532

	passwd = "root:x:0:0:root:/:/nonexistent\nportolan:x:65532:65532:Portolan:/nonexistent:/nonexistent\n"
	group  = "root:x:0:\nportolan:x:65532:\n"
)

// file is a file in the image. All files belong to root, so that the server can't
// change them, and have the time of the epoch, so that the digest doesn't depend on the
// time of the build.
type file struct {
	name    string
	mode    int64
	content []byte
}

// system returns the files besides the server. The certificate authorities are for
// webhooks whose configuration names none. They are Mozilla's, from a pinned module: a
// build that used the machine's would not be reproducible.
func system() []file {
	return []file{
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, content: []byte(group)},
		{name: "etc/passwd", mode: 0o644, content: []byte(passwd)},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: authorities()},
	}
}

func server(path string) ([]file, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return []file{{name: "portolan", mode: 0o755, content: content}}, nil
}

// authorities returns the certificate authorities as PEM. It leaves out those that are
// trusted only for some certificates, because a file can't express that.
func authorities() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			all.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return all.Bytes()
}

// layer packs files into a layer.
func layer(files []file) (v1.Layer, error) {
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	for _, f := range files {
		header := &tar.Header{
			Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR, Typeflag: tar.TypeReg,
		}
		if f.name[len(f.name)-1] == '/' {
			header.Typeflag = tar.TypeDir
		}
		if err := writer.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
		if _, err := writer.Write(f.content); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}
