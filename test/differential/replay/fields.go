//go:build e2e

package replay

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// fields are values of an object by their JSON pointers (RFC 6901). A nil value
// deletes the field.
type fields map[string]any

// with merges fields. Later ones win.
func (f fields) with(others ...fields) fields {
	all := maps.Clone(f)
	if all == nil {
		all = fields{}
	}
	for _, other := range others {
		maps.Copy(all, other)
	}
	return all
}

// pointers are sorted.
func (f fields) pointers() []string { return slices.Sorted(maps.Keys(f)) }

// set writes the fields into an object. A pointer may lead through a list that
// exists.
func (f fields) set(object map[string]any) {
	for _, pointer := range f.pointers() {
		setField(object, steps(pointer), f[pointer])
	}
}

func setField(parent map[string]any, path []string, value any) {
	key := path[0]
	if len(path) == 1 {
		if value == nil {
			delete(parent, key)
		} else {
			parent[key] = value
		}
		return
	}
	if list, ok := parent[key].([]any); ok {
		i, err := strconv.Atoi(path[1])
		if err != nil || i >= len(list) {
			return
		}
		list = slices.Clone(list)
		parent[key] = list
		if len(path) == 2 {
			list[i] = value
		} else if child, ok := list[i].(map[string]any); ok {
			child = maps.Clone(child)
			list[i] = child
			setField(child, path[2:], value)
		}
		return
	}
	child, ok := parent[key].(map[string]any)
	if !ok && value == nil {
		return
	}
	child = maps.Clone(child)
	if child == nil {
		child = map[string]any{}
	}
	parent[key] = child
	setField(child, path[1:], value)
}

// mergePatch is the JSON merge patch (RFC 7396) that sets the fields.
func (f fields) mergePatch() map[string]any {
	patch := map[string]any{}
	for _, pointer := range f.pointers() {
		path, at := steps(pointer), patch
		for _, key := range path[:len(path)-1] {
			child, ok := at[key].(map[string]any)
			if !ok {
				child = map[string]any{}
				at[key] = child
			}
			at = child
		}
		at[path[len(path)-1]] = f[pointer]
	}
	return patch
}

// jsonPatch is the JSON patch (RFC 6902) that sets the fields.
func (f fields) jsonPatch() []any {
	patch := []any{}
	for _, pointer := range f.pointers() {
		if value := f[pointer]; value == nil {
			patch = append(patch, map[string]any{"op": "remove", "path": pointer})
		} else {
			patch = append(patch, map[string]any{"op": "add", "path": pointer, "value": value})
		}
	}
	return patch
}

func steps(pointer string) []string {
	path := strings.Split(pointer, "/")[1:]
	for i, step := range path {
		path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
	}
	return path
}
