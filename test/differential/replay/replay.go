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
	"sync"
	"time"
)

// What is to succeed soon is tried for ten seconds.
const (
	pollPeriod = 50 * time.Millisecond
	maxTries   = 200
)

// replay sends sequences to both servers.
type replay struct {
	ground   *ground
	upstream *target
	portolan *target
	report   *report
}

// run replays sequences on all workers. Which worker has a sequence does not
// depend on how fast the others are.
func (r *replay) run(ctx context.Context, sequences []Sequence) error {
	errs := make(chan error, r.ground.workers)
	var workers sync.WaitGroup
	for worker := range r.ground.workers {
		workers.Go(func() {
			for turn := 0; ; turn++ {
				number := turn*r.ground.workers + worker
				if number >= len(sequences) {
					return
				}
				if err := r.sequence(ctx, sequences[number], number, worker, turn); err != nil {
					errs <- fmt.Errorf("%s: %w", sequences[number].Name, err)
					return
				}
			}
		})
	}
	workers.Wait()
	close(errs)
	return <-errs
}

// side is one server's part in a sequence.
type side struct {
	*target
	mask  *mask
	given map[string]string
	// last is what the server last answered of each object.
	last map[string]map[string]any
	// shown is the same, masked.
	shown map[string]any
	// written are the versions of what it wrote.
	written map[string]string
	// made are the collections and cluster-scoped objects that may be there.
	made map[string]bool
	// sent are the bodies of its writes.
	sent strings.Builder
}

// sequence replays one. It ends early where the two servers have come to hold
// different objects, of which the first difference has been told.
func (r *replay) sequence(ctx context.Context, s Sequence, number, worker, turn int) error {
	given := r.ground.named(worker, turn)
	given["name"] = fmt.Sprintf("s%d", number)
	sides := [2]*side{}
	for i, t := range []*target{r.upstream, r.portolan} {
		sides[i] = &side{
			target: t, mask: newMask(r.ground, r.portolan.core), given: given,
			last: map[string]map[string]any{}, shown: map[string]any{}, written: map[string]string{}, made: map[string]bool{},
		}
	}
	for _, step := range s.Steps {
		var answers [2]answer
		var skipped bool
		var raws [2]*raw
		before := sides[1].shown[objectPath(fill(step.Path, given))]
		for i, side := range sides {
			answer, raw, err := side.do(ctx, step)
			if err != nil {
				return err
			}
			if raw == nil {
				skipped = true
				break
			}
			answers[i], raws[i] = answer, raw
		}
		if skipped {
			continue
		}
		e := exchange{sequence: s.Name, step: step, before: before, theirs: answers[0], ours: answers[1]}
		same := r.report.compare(&e)
		if same || step.isDry() || !raws[0].successful() && !raws[1].successful() {
			continue
		}
		break
	}
	for _, side := range sides {
		if err := side.cleanUp(ctx); err != nil {
			return err
		}
	}
	r.report.ended()
	return nil
}

// do makes a step's request. There is no answer where the step would change an
// object that was never there.
func (d *side) do(ctx context.Context, s Step) (answer, *raw, error) {
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
	r, err := d.target.do(ctx, s, body)
	for tries := 0; s.Soon && err == nil && !r.successful() && tries < maxTries; tries++ {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(pollPeriod):
			r, err = d.target.do(ctx, s, body)
		}
	}
	if err != nil {
		return answer{}, nil, err
	}
	object, ok := r.body.(map[string]any)
	told := ok && r.successful() && !s.isDry() && s.Accept == ""
	if told {
		d.mask.forget(picksOf(d.last[objectPath(s.Path)]), picksOf(object))
	}
	m := masking{mask: d.mask, dry: s.isDry()}
	masked := answer{code: r.code, body: m.body(r.body)}
	if told {
		d.remember(s, object, masked.body)
	}
	for _, text := range r.warnings {
		masked.warnings = append(masked.warnings, m.text(text))
	}
	return masked, r, nil
}

// catchUp waits until upstream's cache has what the sequence wrote last. It
// updates what it finds there, and leaks ports when that turns out to be old.
func (d *side) catchUp(ctx context.Context, s Step) error {
	written := d.written[objectPath(s.Path)]
	if !d.upstream || s.Method == http.MethodGet || s.Method == http.MethodPost || written == "" {
		return nil
	}
	delete(d.written, objectPath(s.Path))
	_, err := d.target.do(ctx, Step{Method: http.MethodGet, Path: objectPath(s.Path), Query: "resourceVersion=" + written}, nil)
	return err
}

// note keeps in mind what a write may have made.
func (d *side) note(s Step, body []byte) {
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

func (d *side) remember(s Step, object map[string]any, masked any) {
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

var subresources = regexp.MustCompile(`^(.*/[a-z]+/[^/]+)/(status|proxy|scale)(/.*)?$`)

// objectPath is the path without a subresource.
func objectPath(path string) string {
	if parts := subresources.FindStringSubmatch(path); parts != nil {
		return parts[1]
	}
	return path
}

var collections = regexp.MustCompile(`^(.*/(?:services|endpoints|endpointslices|servicecidrs|ipaddresses|ingresses|ingressclasses|secrets))/[^/]+$`)

// collectionOf cuts the name off the path of an object.
func collectionOf(path string) (collection string, ok bool) {
	parts := collections.FindStringSubmatch(path)
	if parts == nil {
		return "", false
	}
	return parts[1], true
}

// cleanUp takes away what the sequence has left.
func (d *side) cleanUp(ctx context.Context) error {
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

// remove asks again when it is told to.
func (d *side) remove(ctx context.Context, path string) (*raw, error) {
	step := Step{Method: http.MethodDelete, Path: path, ContentType: plain}
	for tries := 0; ; tries++ {
		r, err := d.target.do(ctx, step, nil)
		if err != nil || r.code != http.StatusTooManyRequests || tries == maxTries {
			return r, err
		}
		time.Sleep(pollPeriod)
	}
}

// release takes the finalizers away from what was deleted.
func (d *side) release(ctx context.Context, path string, deleted any) error {
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

// heal takes away the addresses that upstream leaks when it refuses a Service,
// so that the next sequence that names them finds them free.
func (d *side) heal(ctx context.Context) error {
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
