//go:build e2e

package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/portolan-dev/portolan/test/framework"
)

// session is one server's part in the replay of a sequence.
type session struct {
	*target
	mask  *mask
	given map[string]string
	// last has the server's last answer about each object.
	last map[string]map[string]any
	// shown has the same answers, masked.
	shown map[string]any
	// written has the resource version of the last write of each object.
	written map[string]string
	// made has the collections and cluster-scoped objects that may exist.
	made map[string]bool
	// sent collects the bodies of all writes.
	sent strings.Builder
}

// do makes a step's request. It returns nil if the step would change an object
// that never existed.
func (d *session) do(ctx context.Context, s Step) (answer, *raw, error) {
	s.Path, s.Query = fill(s.Path, d.given), fill(s.Query, d.given)
	s.Path, s.Query = fill(s.Path, d.mask.values), fill(s.Query, d.mask.values)
	if s.Edit != nil {
		last := d.last[objectPath(s.Path)]
		if last == nil {
			return answer{}, nil, nil
		}
		last = maps.Clone(last)
		s.Edit.set(last)
		s.Body = last
	}
	if err := d.catchUp(ctx, s); err != nil {
		return answer{}, nil, err
	}
	body, err := encode(s.Body, d.given, d.mask.values)
	if err != nil {
		return answer{}, nil, err
	}
	d.note(s, body)
	r, err := d.repeat(ctx, s, body, func(r *raw) bool { return s.Soon && !r.successful() })
	if err != nil {
		return answer{}, nil, err
	}
	object, ok := r.body.(map[string]any)
	stored := ok && r.successful() && !s.isDry() && s.Accept == ""
	if stored {
		d.mask.forget(picksOf(d.last[objectPath(s.Path)]), picksOf(object))
	}
	m := masking{mask: d.mask, dry: s.isDry()}
	masked := answer{code: r.code, body: m.body(r.body)}
	if stored {
		d.remember(s, object, masked.body)
	}
	for _, text := range r.warnings {
		masked.warnings = append(masked.warnings, m.text(text))
	}
	return masked, r, nil
}

// repeat makes a request until its answer is not one to try again after, and
// returns the last answer.
func (d *session) repeat(ctx context.Context, s Step, body []byte, again func(*raw) bool) (r *raw, err error) {
	pollErr := framework.Poll(ctx, func(ctx context.Context) (bool, error) {
		r, err = d.target.do(ctx, s, body)
		return err != nil || !again(r), err
	})
	if r == nil && err == nil {
		err = pollErr
	}
	return r, err
}

// catchUp waits until upstream's watch cache has the last write of the
// sequence. Upstream updates the object in its cache, and leaks ports if that
// turns out to be old.
func (d *session) catchUp(ctx context.Context, s Step) error {
	written := d.written[objectPath(s.Path)]
	if !d.upstream || s.Method == http.MethodGet || s.Method == http.MethodPost || written == "" {
		return nil
	}
	delete(d.written, objectPath(s.Path))
	_, err := d.target.do(ctx, Step{Method: http.MethodGet, Path: objectPath(s.Path), Query: "resourceVersion=" + written}, nil)
	return err
}

// note records which objects a write may have created.
func (d *session) note(s Step, body []byte) {
	if s.Method == http.MethodGet || s.isDry() {
		return
	}
	d.sent.Write(body)
	path := objectPath(s.Path)
	if strings.Contains(path, "/namespaces/") {
		if collection, ok := collectionOf(path); ok {
			path = collection
		}
		d.made[path] = true
		return
	}
	if s.Method == http.MethodPost {
		var object struct{ Metadata struct{ Name string } }
		if json.Unmarshal(body, &object) != nil || object.Metadata.Name == "" {
			return
		}
		path += "/" + object.Metadata.Name
	}
	if _, ok := collectionOf(path); ok && s.Method != http.MethodDelete {
		d.made[path] = true
	}
}

func (d *session) remember(s Step, object map[string]any, masked any) {
	meta, ok := object["metadata"].(map[string]any)
	if !ok {
		return
	}
	name, ok := meta["name"].(string)
	if !ok {
		return
	}
	path := objectPath(s.Path)
	if s.Method == http.MethodPost {
		path += "/" + name
	}
	d.last[path], d.shown[path] = object, masked
	d.written[path], _ = meta["resourceVersion"].(string)
}

var subresources = regexp.MustCompile(`^(.*/[a-z]+/[^/]+)/(status|proxy|scale|token|log|exec|attach|portforward)(/.*)?$`)

// objectPath is the path without a subresource.
func objectPath(path string) string {
	if parts := subresources.FindStringSubmatch(path); parts != nil {
		return parts[1]
	}
	return path
}

var collections = regexp.MustCompile(`^(.*/(?:services|endpoints|endpointslices|servicecidrs|ipaddresses|ingresses|ingressclasses|secrets|configmaps|serviceaccounts|pods|(?:validating|mutating)[a-z]+))/[^/]+$`)

// collectionOf cuts the name off the path of an object.
func collectionOf(path string) (collection string, ok bool) {
	parts := collections.FindStringSubmatch(path)
	if parts == nil {
		return "", false
	}
	return parts[1], true
}

// cleanUp deletes what the sequence has left.
func (d *session) cleanUp(ctx context.Context) error {
	for _, path := range slices.Sorted(maps.Keys(d.made)) {
		r, err := d.remove(ctx, path)
		if err != nil {
			return err
		}
		if r.code == http.StatusNotFound || r.code == http.StatusMethodNotAllowed {
			continue
		}
		if !r.successful() {
			return fmt.Errorf("%s: cleaning up %s: %d %v", d.name, path, r.code, r.body)
		}
		if err := d.release(ctx, path, r.body); err != nil {
			return err
		}
	}
	return d.heal(ctx)
}

// remove repeats the delete while the answer is 429.
func (d *session) remove(ctx context.Context, path string) (*raw, error) {
	step := Step{Method: http.MethodDelete, Path: path, ContentType: plain}
	return d.repeat(ctx, step, nil, func(r *raw) bool { return r.code == http.StatusTooManyRequests })
}

// release removes the finalizers of deleted objects.
func (d *session) release(ctx context.Context, path string, deleted any) error {
	object, _ := deleted.(map[string]any)
	items, isList := object["items"].([]any)
	if !isList {
		items = []any{object}
	}
	for _, item := range items {
		object, _ := item.(map[string]any)
		meta, _ := object["metadata"].(map[string]any)
		if meta["finalizers"] == nil {
			continue
		}
		name := path
		if isList {
			name += "/" + meta["name"].(string)
		}
		r, err := d.target.do(ctx, Step{Method: http.MethodPatch, Path: name, ContentType: merge}, []byte(`{"metadata":{"finalizers":null}}`))
		if err != nil {
			return err
		}
		if !r.successful() && r.code != http.StatusNotFound {
			return fmt.Errorf("%s: cleaning up %s: %d %v", d.name, name, r.code, r.body)
		}
	}
	return nil
}

// heal deletes the addresses that upstream leaks when it rejects a Service, so
// that they are free for the next sequence that names them.
func (d *session) heal(ctx context.Context) error {
	if !d.upstream {
		return nil
	}
	for name, value := range d.given {
		if !strings.HasPrefix(name, "free") || !strings.Contains(d.sent.String(), value) {
			continue
		}
		path := ipAddresses.collection + "/" + value
		r, err := d.target.do(ctx, Step{Method: http.MethodDelete, Path: path}, nil)
		if err != nil {
			return err
		}
		if !r.successful() && r.code != http.StatusNotFound {
			return fmt.Errorf("%s: cleaning up %s: %d", d.name, path, r.code)
		}
	}
	return nil
}
