package occupancy

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/claims"
)

// movableValues are the values of a range that Services hold and that can move to another.
type movableValues struct {
	// of has the step for each Service, by UID.
	of map[types.UID]renumberStep
	// class has the class of each value.
	class map[string]allocation.Class
}

// movable returns the values in from and not in to, of the classes that both have.
func movable(from, to runtime.Object, claimed []runtime.Object) movableValues {
	m := movableValues{of: map[types.UID]renumberStep{}, class: map[string]allocation.Class{}}
	all, targets := byClass(claimed), claims.RangesOf(to)
	for class, r := range claims.RangesOf(from) {
		target, ok := targets[class]
		if !ok {
			continue
		}
		for _, block := range r.Blocks {
			for _, c := range within(all[class], block.Span) {
				if !target.Covers(c.number) {
					m.add(c, class, block.Span.IsStatic(c.number))
				}
			}
		}
	}
	return m
}

// overlap reports whether two ranges have values in common.
func overlap(a, b runtime.Object) bool {
	others := claims.RangesOf(b)
	for class, r := range claims.RangesOf(a) {
		if other, ok := others[class]; ok && r.Overlaps(other) {
			return true
		}
	}
	return false
}

func (m movableValues) add(c claim, class allocation.Class, static bool) {
	m.class[c.text] = class
	for _, holder := range c.holders {
		if holder.UID == "" {
			continue
		}
		step := m.of[holder.UID]
		step.NamespacedName, step.uid = types.NamespacedName{Namespace: holder.Namespace, Name: holder.Name}, holder.UID
		step.values = append(step.values, c.text)
		slices.Sort(step.values)
		if static {
			step.static = append(step.static, c.text)
		}
		m.of[holder.UID] = step
	}
}

// shortage returns a warning if the target has too few free values for the steps. Services
// that share a value need one.
func (m movableValues) shortage(objs Objects, r Renumber, steps []renumberStep) string {
	wanted := map[string]map[string]bool{}
	for _, step := range steps {
		for _, value := range step.values {
			class := m.class[value].String()
			if wanted[class] == nil {
				wanted[class] = map[string]bool{}
			}
			wanted[class][value] = true
		}
	}
	var text string
	for _, usage := range Usages(objs, time.Now()) {
		if values := len(wanted[usage.Class]); usage.Name == r.To && int64(values) > usage.Free {
			text += fmt.Sprintf("Warning: values to move: %d; free in %s (%s): %d. The command stops when it is full.\n",
				values, r.Kind.of(r.To), usage.Class, usage.Free)
		}
	}
	return text
}
