package txn_test

import (
	"fmt"
	"testing"

	"go.etcd.io/etcd/client/v3/kubernetes"

	"github.com/portolan-dev/portolan/pkg/txn"
)

// BenchmarkCommit commits an object with a claim, which relies on a range, to an embedded
// etcd that fsyncs.
func BenchmarkCommit(b *testing.B) {
	s := newStore(b)
	facts := s.put("/ranges/r", "10.0.0.0/8")
	object, claim := make([]byte, 700), make([]byte, 400)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		key := fmt.Sprintf("/claims/%d", n)
		ctx := txn.WithPlan(b.Context(), &txn.Plan{
			Guards: []txn.Guard{{Key: key}, {Key: "/ranges/r", Revision: facts}}, Puts: []txn.Put{{Key: key, Value: claim}},
		})
		response, err := s.decorated.OptimisticPut(ctx, fmt.Sprintf("/services/%d", n), object, 0, kubernetes.PutOptions{})
		if err != nil || !response.Succeeded {
			b.Fatal(response, err)
		}
	}
}
