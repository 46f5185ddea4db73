//go:build e2e

package replay

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// corpus returns the sequences of the main phase: all that are written down,
// and some with random Services.
func corpus(seed uint64, random int, examples []manifest) []Sequence {
	g := &generator{random: rand.New(rand.NewPCG(seed, 0))}
	g.examples(examples)
	g.creates()
	g.updates()
	g.transitions()
	g.stacks()
	g.portChanges()
	g.statuses()
	g.applies()
	g.metadata()
	g.dryRuns()
	g.finalizers()
	g.lists()
	g.requests()
	g.endpoints()
	g.endpointSlices()
	g.randomServices(random)
	g.random.Shuffle(len(g.sequences), func(i, j int) {
		g.sequences[i], g.sequences[j] = g.sequences[j], g.sequences[i]
	})
	return g.sequences
}

// generator gathers sequences.
type generator struct {
	random    *rand.Rand
	sequences []Sequence
}

// add leaves out sequences that would make upstream free a port that another
// Service holds: deleting an ExternalName Service that names the port does.
func (g *generator) add(name string, steps ...Step) {
	text := asJSON(steps)
	if strings.Contains(text, "ExternalName") && (strings.Contains(text, "{takenport}") || strings.Contains(text, "{takenhealth}")) {
		return
	}
	g.sequences = append(g.sequences, Sequence{Name: name, Steps: steps})
}

// variant is one way to fill in an object, with a name.
type variant struct {
	name   string
	fields fields
}

// oneField returns a variant for each value of one field.
func oneField(pointer string, values ...any) []variant {
	var variants []variant
	for _, value := range values {
		variants = append(variants, variant{fmt.Sprintf("%s=%s", pointer, asJSON(value)), fields{pointer: value}})
	}
	return variants
}

// pick returns a random variant, often an empty one.
func (g *generator) pick(variants []variant) variant {
	if g.random.IntN(3) != 0 {
		return variant{}
	}
	return variants[g.random.IntN(len(variants))]
}

func port(number any, more ...fields) map[string]any {
	port := map[string]any{"port": number}
	for _, f := range more {
		f.set(port)
	}
	return port
}

func list(values ...any) []any { return append([]any{}, values...) }

func object(pairs ...any) map[string]any {
	object := map[string]any{}
	for pair := range slices.Chunk(pairs, 2) {
		object[pair[0].(string)] = pair[1]
	}
	return object
}

func fieldsOf[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
