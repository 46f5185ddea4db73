// Package bodies bounds what the body of a request may cost, before any decoder
// sees it.
//
// The API server's own limit is one on bytes. Several libraries behind it need
// time and memory that grow with the square of something else, and they go on
// after the request has timed out: a merge patch costs its size times its depth,
// a JSON patch its operations times the length of a list, and can nest without
// end; a strategic merge patch compares each element of a list with each other;
// a quantity with a large exponent is written out in full. The limits here are
// far above what real objects have. They leave a body that no decoder will
// accept to the decoder, whose error says more.
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

// WithLimits has the bodies of requests for resources fail with a Status when they
// exceed a limit: handlers answer with what reading returns. It needs the
// request's info. maxBytes is the API server's own limit, which it leaves to the
// handler.
func WithLimits(handler http.Handler, maxBytes int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if decoded(req) {
			kind := mediaType(req)
			if check := wholeCheck(kind); check != nil {
				req.Body = whole(req.Body, maxBytes, check)
			} else {
				req.Body = &checkedBody{ReadCloser: req.Body, scanner: newScanner(kind)}
			}
		}
		handler.ServeHTTP(w, req)
	})
}

// decoded says whether the server decodes the body of a request. It passes on
// what is behind a proxy.
func decoded(req *http.Request) bool {
	info, ok := apirequest.RequestInfoFrom(req.Context())
	return ok && info.IsResourceRequest && info.Subresource != "proxy" && req.Body != nil && req.Body != http.NoBody
}

// mediaType is what handlers take the body for: those of patches cut the header
// at the semicolon, the others parse it.
func mediaType(req *http.Request) string {
	kind, _, _ := strings.Cut(req.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// wholeCheck is the check of a kind of body that must be read as a whole, nil
// where it can be checked while it is read.
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

// checkYAML checks the JSON that YAML stands for, so that flow and block style
// and aliases are one thing. Its decoder has limits of its own on depth and
// aliases, and needs no more than time in proportion within them, except for
// directives.
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

// checkDirectives counts what may be lines that begin with a percent sign. YAML
// ends lines with more than newlines, and may come in UTF-16.
func checkDirectives(body []byte) error {
	count, breaks := 0, []byte{'\n', '\r', 0, 0x85, 0xa8, 0xa9}
	for i, c := range body {
		if c == '%' && i > 0 && bytes.IndexByte(breaks, body[i-1]) >= 0 {
			count++
		}
	}
	if count > maxDirectives {
		return refuse("the YAML has more than %d directives", maxDirectives)
	}
	return nil
}

// checkedBody checks a body while it is read.
type checkedBody struct {
	io.ReadCloser
	scanner *scanner
}

// Read fails once a limit is exceeded.
func (b *checkedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if refusal := b.scanner.scan(p[:n]); refusal != nil {
		return 0, refusal
	}
	return n, err
}

// wholeBody is one that was read already, as far as it is going to be.
type wholeBody struct {
	io.Reader
	io.Closer
}

// whole reads a body and checks it, unless it is larger than the handler takes.
func whole(body io.ReadCloser, maxBytes int64, check func([]byte) error) io.ReadCloser {
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

// Read fails.
func (r failedReader) Read([]byte) (int, error) { return 0, r.err }
