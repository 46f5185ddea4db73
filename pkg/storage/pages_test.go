package storage

import (
	"fmt"
	"testing"

	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	suite "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/utils/ptr"
)

// TestPages reads a list in pages while others write: its pages come from etcd as long as
// much of it is left, and then from the snapshot.
func TestPages(t *testing.T) {
	t.Parallel()
	const limit, objects = 2, longRest*2 + 50
	s := cachedStack(t, func(o *setup) { o.fastPages = true })
	create := func(name string) {
		t.Helper()
		pod := &example.Pod{}
		pod.Name, pod.Namespace = name, "ns"
		if err := (seenByCache{s}).Create(t.Context(), podPrefix+"ns/"+name, pod, &example.Pod{}, 0); err != nil {
			t.Fatal(err)
		}
	}
	for n := range objects {
		create(fmt.Sprintf("pod-%03d", n))
	}
	transformer := s.transformer.get().(*suite.PrefixTransformer)
	opts := storage.ListOptions{Recursive: true, Predicate: storage.Everything}
	opts.Predicate.Limit = limit
	for rest := int64(objects); rest > 0; rest -= limit {
		wantDecoded := uint64(0)
		if rest < objects && rest > longRest*limit {
			wantDecoded = limit
		}
		transformer.GetReadsAndReset()
		list := &example.PodList{}
		if err := s.GetList(t.Context(), podPrefix, opts, list); err != nil {
			t.Fatal(err)
		}
		if decoded := transformer.GetReadsAndReset(); decoded != wantDecoded {
			t.Errorf("with %d objects left, %d were read from etcd, want %d", rest, decoded, wantDecoded)
		}
		if left := ptr.Deref(list.RemainingItemCount, 0); len(list.Items) != limit || left != rest-limit {
			t.Fatalf("with %d objects left: a page of %d before %d others", rest, len(list.Items), left)
		}
		opts.Predicate.Continue = list.Continue
		if rest%50 == 0 {
			create(fmt.Sprintf("pod-%03d-later", rest))
		}
	}
}
