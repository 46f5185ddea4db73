//go:build e2e

package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// target is a server that gets the requests.
type target struct {
	name   string
	host   string
	client *http.Client
	// upstream says that the server is a kube-apiserver.
	upstream bool
	// core says that Portolan gets the requests through the core API groups.
	// Otherwise upstream's paths and versions are translated to those of
	// portolan.dev.
	core bool
}

func newTarget(name string, config *rest.Config, upstream, core bool) (*target, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return &target{name: name, host: config.Host, client: client, upstream: upstream, core: core}, nil
}

// raw is an unmasked answer.
type raw struct {
	code     int
	warnings []string
	body     any
}

// successful reports whether the request succeeded.
func (r *raw) successful() bool { return r.code < http.StatusBadRequest }

// do makes a request in which all names are filled in.
func (t *target) do(ctx context.Context, s Step, body []byte) (*raw, error) {
	path := s.Path
	if !t.upstream && !t.core {
		path, body = ourPath(path), ourVersion(body)
	}
	if s.Query != "" {
		path += "?" + s.Query
	}
	request, err := http.NewRequestWithContext(ctx, s.Method, t.host+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if s.ContentType != "" {
		request.Header.Set("Content-Type", s.ContentType)
	}
	request.Header.Set("Accept", plain)
	if s.Accept != "" {
		request.Header.Set("Accept", s.Accept)
	}
	request.Header.Set("User-Agent", "corpus")
	response, err := t.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", t.name, s, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", t.name, s, err)
	}
	answer := &raw{code: response.StatusCode, warnings: warnings(response.Header, t.core)}
	switch {
	case s.Accept == "application/yaml" && yaml.Unmarshal(text, &answer.body) == nil:
	case json.Unmarshal(text, &answer.body) == nil:
	default:
		answer.body = string(text)
	}
	return answer, nil
}

// warnings leaves out the one that every answer about upstream's Endpoints has.
// Portolan's Endpoints do not have it.
func warnings(header http.Header, core bool) []string {
	const deprecated = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
	var texts []string
	parsed, errs := utilnet.ParseWarningHeaders(header["Warning"])
	for _, warning := range parsed {
		if core || warning.Text != deprecated {
			texts = append(texts, warning.Text)
		}
	}
	if err := errors.Join(errs...); err != nil {
		texts = append(texts, err.Error())
	}
	return texts
}

var upstreamPaths = regexp.MustCompile(`^/(api|apis/networking\.k8s\.io|apis/discovery\.k8s\.io)/v1\b`)

func ourPath(path string) string {
	return upstreamPaths.ReplaceAllString(path, "/apis/portolan.dev/v1")
}

var upstreamVersions = regexp.MustCompile(`"apiVersion": ?"(v1|networking\.k8s\.io/v1|discovery\.k8s\.io/v1)"`)

// ourVersion translates the version of objects. DeleteOptions belong to the API
// machinery and exist in every group.
func ourVersion(body []byte) []byte {
	if bytes.Contains(body, []byte(`"DeleteOptions"`)) {
		return body
	}
	return upstreamVersions.ReplaceAll(body, []byte(`"apiVersion":"portolan.dev/v1"`))
}

// encode returns the body of a step, with the names filled in. A string is sent
// as it is.
func encode(body any, values ...map[string]string) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	text, ok := body.(string)
	if !ok {
		var buffer strings.Builder
		encoder := json.NewEncoder(&buffer)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(body); err != nil {
			return nil, err
		}
		text = strings.TrimSuffix(buffer.String(), "\n")
	}
	for _, set := range values {
		text = fill(text, set)
	}
	return []byte(text), nil
}
