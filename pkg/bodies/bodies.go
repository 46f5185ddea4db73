// Package bodies bounds the cost of a request's body, before any decoder sees it.
//
// The API server's own limit is on bytes. Several libraries behind it need time and
// memory that grow with other quantities too, and do not stop when the request times out:
//
//   - A merge patch costs its size times its depth.
//   - A JSON patch costs its operations times the length of a list, and its nesting is
//     unbounded.
//   - A strategic merge patch compares each element of a list with each other.
//   - A quantity with a large exponent is written out in full.
//
// The limits here are far above what real objects have. A malformed body is left to the
// decoder, whose error says more.
package bodies

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"sigs.k8s.io/yaml"
)

// WithLimits makes reading the body of a resource request fail with a Status if the body
// exceeds a limit. Handlers answer with that Status. It needs the request's info in the
// context. maxBytes is the API server's own limit, which the handler enforces.
func WithLimits(handler http.Handler, maxBytes int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if decoded(req) {
			kind := mediaType(req)
			if check := wholeCheck(kind); check != nil {
				req.Body = readWhole(req.Body, maxBytes, check)
			} else {
				req.Body = &checkedBody{ReadCloser: req.Body, scanner: newScanner(kind)}
			}
		}
		handler.ServeHTTP(w, req)
	})
}

// decoded reports whether the server decodes the body of a request. Proxy requests are
// passed on as they are.
func decoded(req *http.Request) bool {
	info, ok := apirequest.RequestInfoFrom(req.Context())
	return ok && info.IsResourceRequest && info.Subresource != "proxy" && req.Body != nil && req.Body != http.NoBody
}

// mediaType returns the media type by which handlers choose a decoder. The handlers of
// patches cut the header at the semicolon, and the others parse it.
func mediaType(req *http.Request) string {
	kind, _, _ := strings.Cut(req.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// wholeCheck returns the check for bodies that must be read as a whole. It is nil for
// bodies that can be checked while they are read.
func wholeCheck(mediaType string) func([]byte) error {
	switch mediaType {
	case string(types.JSONPatchType):
		return checkJSONPatch
	case string(types.ApplyYAMLPatchType), runtime.ContentTypeYAML:
		return checkYAML
	case runtime.ContentTypeProtobuf:
		return checkProtobuf
	}
	return nil
}

// checkYAML converts YAML to JSON and checks that, so that flow style, block style and
// aliases are checked alike. The YAML decoder has its own limits on depth and aliases, and
// takes linear time within them, except for directives.
func checkYAML(body []byte) error {
	text := body
	if !json.Valid(body) {
		if err := checkDirectives(body); err != nil {
			return err
		}
		var err error
		if text, err = yaml.YAMLToJSON(body); err != nil {
			return nil //nolint:nilerr // The handler's decoder finds the same error, and reports it.
		}
	}
	return newScanner(runtime.ContentTypeJSON).scan(text)
}

// checkDirectives counts the lines that may begin with a percent sign. YAML has other line
// breaks besides newlines, and may be encoded in UTF-16.
func checkDirectives(body []byte) error {
	count, breaks := 0, []byte{'\n', '\r', 0, 0x85, 0xa8, 0xa9}
	for i, c := range body {
		if c == '%' && i > 0 && bytes.IndexByte(breaks, body[i-1]) >= 0 {
			count++
		}
	}
	if count > maxDirectives {
		return reject("the YAML has more than %d directives", maxDirectives)
	}
	return nil
}

// checkedBody checks a body while it is read.
type checkedBody struct {
	io.ReadCloser
	scanner *scanner
}

// Read implements io.Reader. It fails once a limit is exceeded.
func (b *checkedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if exceeded := b.scanner.scan(p[:n]); exceeded != nil {
		return 0, exceeded
	}
	return n, err
}

// wholeBody is a body that readWhole has read already.
type wholeBody struct {
	io.Reader
	io.Closer
}

// readWhole reads a body and checks it, unless it is larger than the handler accepts.
func readWhole(body io.ReadCloser, maxBytes int64, check func([]byte) error) io.ReadCloser {
	data, err := io.ReadAll(io.LimitReader(body, maxBytes+1))
	if err == nil && int64(len(data)) <= maxBytes {
		if err := check(data); err != nil {
			return wholeBody{failedReader{err}, body}
		}
	}
	rest := io.Reader(body)
	if err != nil {
		rest = failedReader{err}
	}
	return wholeBody{io.MultiReader(bytes.NewReader(data), rest), body}
}

type failedReader struct{ err error }

// Read implements io.Reader.
func (r failedReader) Read([]byte) (int, error) { return 0, r.err }
