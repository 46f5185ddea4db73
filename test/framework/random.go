package framework

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// SeedVariable repeats a run with the seed that it printed.
const SeedVariable = "PORTOLAN_TEST_SEED"

// Seed is what a test's randomness begins with; it is printed, and can be set
// from outside.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(SeedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", SeedVariable, err)
		}
	}
	t.Logf("%s=%d", SeedVariable, seed)
	return seed
}

// Random makes the source of one of a test's clients.
func Random(seed uint64, client int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(client))) }
