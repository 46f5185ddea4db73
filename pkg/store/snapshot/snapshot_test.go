package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// whole returns a complete snapshot of arbitrary content.
func whole() []byte {
	content := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	sum := sha256.Sum256(content)
	return append(content, sum[:]...)
}

func from(reader io.Reader) Source {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(reader), nil }
}

func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot.db")
	// The sizes of the reads don't change the checksum.
	for name, reader := range map[string]io.Reader{
		"whole": bytes.NewReader(whole()), "halves": iotest.HalfReader(bytes.NewReader(whole())),
		"bytes": iotest.OneByteReader(bytes.NewReader(whole())),
	} {
		size, err := Save(t.Context(), path, from(reader))
		if err != nil || size != int64(len(whole())) {
			t.Errorf("%s: %d bytes, %v", name, size, err)
		}
		if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, whole()) {
			t.Errorf("%s: %d bytes are there, %v", name, len(data), err)
		}
		if err := Check(path); err != nil {
			t.Error(err)
		}
		if _, err := Save(t.Context(), path, from(reader)); err == nil || !strings.Contains(err.Error(), "exists already") {
			t.Errorf("%s: again: %v", name, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSaveNothingLeft expects no file if the stream fails, or ends too early
// without an error.
func TestSaveNothingLeft(t *testing.T) {
	flipped := whole()
	flipped[1000]++
	broken := errors.New("unexpected EOF")
	for name, test := range map[string]struct {
		source Source
		want   string
	}{
		"rejected":  {func(context.Context) (io.ReadCloser, error) { return nil, broken }, broken.Error()},
		"broken":    {from(io.MultiReader(bytes.NewReader(whole()[:1000]), iotest.ErrReader(broken))), broken.Error()},
		"empty":     {from(bytes.NewReader(nil)), "not a whole snapshot"},
		"short":     {from(bytes.NewReader(whole()[:1000])), "not a whole snapshot"},
		"by sector": {from(bytes.NewReader(whole()[:len(whole())-sector])), "checksum is wrong"},
		"flipped":   {from(bytes.NewReader(flipped)), "checksum is wrong"},
	} {
		dir := t.TempDir()
		_, err := Save(t.Context(), filepath.Join(dir, "snapshot.db"), test.source)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%s: %v is left, %v", name, left, err)
		}
	}
}
