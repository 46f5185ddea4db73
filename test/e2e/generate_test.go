//go:build e2e

package e2e

import (
	"reflect"
	"testing"
)

func TestCorpusIsDeterministic(t *testing.T) {
	if one, other := corpus(7, 50), corpus(7, 50); !reflect.DeepEqual(one, other) {
		t.Error("the same seed made another corpus")
	}
}

func TestCorpusNames(t *testing.T) {
	names := map[string]bool{}
	requests := 0
	for _, s := range corpus(1, 50) {
		if names[s.Name] {
			t.Errorf("two sequences are named %q", s.Name)
		}
		names[s.Name] = true
		requests += len(s.Steps)
	}
	t.Logf("%d sequences, %d requests", len(names), requests)
}
