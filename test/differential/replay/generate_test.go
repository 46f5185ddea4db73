//go:build e2e

package replay

import (
	"reflect"
	"testing"
)

func TestCorpusIsDeterministic(t *testing.T) {
	examples := examples(t)
	if one, other := corpus(7, 50, examples), corpus(7, 50, examples); !reflect.DeepEqual(one, other) {
		t.Error("the same seed made another corpus")
	}
}

// TestCorpusNames checks that names of sequences are unique, and that there are
// enough sequences.
func TestCorpusNames(t *testing.T) {
	const least = 5000
	names := map[string]bool{}
	for _, s := range append(append(corpus(1, 400, examples(t)), rangeCorpus()...), exhaustion(1, 1)...) {
		if names[s.Name] {
			t.Errorf("two sequences are named %q", s.Name)
		}
		names[s.Name] = true
	}
	if len(names) < least {
		t.Errorf("only %d sequences", len(names))
	}
}

func examples(t *testing.T) []manifest {
	t.Helper()
	found, err := manifests()
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("no examples were found")
	}
	return found
}
