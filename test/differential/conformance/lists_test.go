package conformance

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/utils/ptr"
)

func lists() behaviors {
	return behaviors{
		"in chunks":                  listInChunks,
		"chunks of a selection":      chunksOfASelection,
		"at a version":               listAtAVersion,
		"with options that don't go": listOptions,
		"by labels":                  listByLabels,
		"of all namespaces":          listOfAllNamespaces,
	}
}

func (w *world) leases() clientcoordinationv1.LeaseInterface {
	return w.client.CoordinationV1().Leases(w.namespace)
}

// createLeases makes small objects, with their number as a label.
func (w *world) createLeases(count int) {
	w.Helper()
	for n := range count {
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: nthLease(n), Labels: map[string]string{"parity": strconv.Itoa(n % 2)}}}
		_, err := w.leases().Create(w.Context(), lease, metav1.CreateOptions{})
		w.ok("create", err)
	}
}

func nthLease(n int) string { return fmt.Sprintf("lease-%04d", n) }

// page lists the next part and expects it to begin with the given one of all.
func (w *world) page(options metav1.ListOptions, first, all int) *coordinationv1.LeaseList {
	w.Helper()
	list, err := w.leases().List(w.Context(), options)
	w.ok("list", err)
	if options.Limit > 0 && len(list.Items) > int(options.Limit) {
		w.Errorf("%d of at most %d", len(list.Items), options.Limit)
	}
	for i, lease := range list.Items {
		if want := nthLease(first + i); lease.Name != want {
			w.Fatalf("found %s, want %s", lease.Name, want)
		}
	}
	left := all - first - len(list.Items)
	if (list.Continue == "") != (left == 0) || (list.RemainingItemCount == nil) != (left == 0) ||
		int(ptr.Deref(list.RemainingItemCount, 0)) != left {
		w.Errorf("after %d of %d: %+v", first+len(list.Items), all, list.ListMeta)
	}
	return list
}

// listInChunks: "should return chunks of results for list calls". What is made in
// between belongs to no chunk.
func listInChunks(w *world) {
	const all = 30
	w.createLeases(all)
	for _, limit := range []int64{1, 7, 15, all - 1, all, all + 1} {
		options, found, at := metav1.ListOptions{Limit: limit}, 0, ""
		for more := true; more; more = options.Continue != "" {
			list := w.page(options, found, all)
			if at != "" && list.ResourceVersion != at {
				w.Errorf("a chunk is of version %s, the first one was of %s", list.ResourceVersion, at)
			}
			found, at, options.Continue = found+len(list.Items), list.ResourceVersion, list.Continue
		}
		if found != all {
			w.Errorf("found %d at %d a time", found, limit)
		}
	}
	first := w.page(metav1.ListOptions{Limit: 10}, 0, all)
	late := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "lease-0020-late"}}
	_, err := w.leases().Create(w.Context(), late, metav1.CreateOptions{})
	w.ok("create", err)
	w.ok("delete", w.leases().Delete(w.Context(), nthLease(25), metav1.DeleteOptions{}))
	rest := w.page(metav1.ListOptions{Continue: first.Continue}, 10, all)
	if len(rest.Items) != all-10 || rest.ResourceVersion != first.ResourceVersion {
		w.Errorf("the rest are %d at %s, the first were at %s", len(rest.Items), rest.ResourceVersion, first.ResourceVersion)
	}
}

// chunksOfASelection say not how many are left.
func chunksOfASelection(w *world) {
	w.createLeases(10)
	options := metav1.ListOptions{Limit: 2, LabelSelector: "parity=1"}
	var names []string
	for more := true; more; more = options.Continue != "" {
		list, err := w.leases().List(w.Context(), options)
		w.ok("list", err)
		for _, lease := range list.Items {
			names = append(names, lease.Name)
		}
		if list.RemainingItemCount != nil || len(list.Items) > 2 {
			w.Errorf("%d, and %d are left", len(list.Items), *list.RemainingItemCount)
		}
		options.Continue = list.Continue
	}
	if got := strings.Join(names, " "); got != "lease-0001 lease-0003 lease-0005 lease-0007 lease-0009" {
		w.Errorf("found %s", got)
	}
}

// listAtAVersion reads what was, or what is no older than that.
func listAtAVersion(w *world) {
	ctx := w.Context()
	w.createLeases(3)
	before := w.page(metav1.ListOptions{}, 0, 3)
	w.ok("delete", w.leases().Delete(ctx, nthLease(2), metav1.DeleteOptions{}))
	for _, test := range []struct {
		options metav1.ListOptions
		want    int
	}{
		{metav1.ListOptions{}, 2},
		{metav1.ListOptions{ResourceVersion: before.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact}, 3},
		{metav1.ListOptions{ResourceVersion: before.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
			LabelSelector: "parity=1"}, 1},
	} {
		list, err := w.leases().List(ctx, test.options)
		if err != nil || len(list.Items) != test.want {
			w.Errorf("%+v: got %+v, error %v, want %d", test.options, list, err, test.want)
		}
		if err == nil && test.options.ResourceVersion != "" && list.ResourceVersion != before.ResourceVersion {
			w.Errorf("%+v: it is of %s", test.options, list.ResourceVersion)
		}
	}
	for _, options := range []metav1.ListOptions{
		{ResourceVersion: before.ResourceVersion},
		{ResourceVersion: before.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan},
		{ResourceVersion: before.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, Limit: 500},
	} {
		list, err := w.leases().List(ctx, options)
		if err != nil || w.older(list, before) || len(list.Items) < 2 {
			w.Errorf("%+v: got %+v, error %v", options, list, err)
		}
	}
	w.eventually("what is there, of any age", func(ctx context.Context) (bool, error) {
		list, err := w.leases().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		return err == nil && len(list.Items) == 2, err
	})
	got, err := w.leases().Get(ctx, nthLease(0), metav1.GetOptions{ResourceVersion: before.ResourceVersion})
	if err != nil || got.Name != nthLease(0) {
		w.Errorf("got %+v, error %v", got, err)
	}
}

// listOptions are refused with the reason.
func listOptions(w *world) {
	w.createLeases(2)
	page := w.page(metav1.ListOptions{Limit: 1}, 0, 2)
	for _, test := range []struct {
		options metav1.ListOptions
		want    string
	}{
		{metav1.ListOptions{ResourceVersionMatch: "Exact"},
			"resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"},
		{metav1.ListOptions{ResourceVersion: "1", ResourceVersionMatch: "Foo"},
			`resourceVersionMatch: Unsupported value: "Foo": supported values: "Exact", "NotOlderThan", ""`},
		{metav1.ListOptions{ResourceVersion: "0", ResourceVersionMatch: "Exact"},
			`resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"`},
		{metav1.ListOptions{ResourceVersion: "0", ResourceVersionMatch: "NotOlderThan", Continue: page.Continue},
			"resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"},
		{metav1.ListOptions{ResourceVersion: page.ResourceVersion, Continue: page.Continue},
			"specifying resource version is not allowed when using continue"},
		{metav1.ListOptions{SendInitialEvents: ptr.To(true)}, "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"},
		{metav1.ListOptions{Continue: "nonsense"}, "continue key is not valid"},
		{metav1.ListOptions{ResourceVersion: "abc"}, `resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax`},
		{metav1.ListOptions{LabelSelector: "a b"}, "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"},
		{metav1.ListOptions{FieldSelector: "spec.holderIdentity=a"},
			`"spec.holderIdentity" is not a known field selector: only "metadata.name", "metadata.namespace"`},
		{metav1.ListOptions{FieldSelector: "nonsense"}, `invalid selector: 'nonsense'; can't understand 'nonsense'`},
	} {
		_, err := w.leases().List(w.Context(), test.options)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			w.Errorf("%+v: got %v, want %s", test.options, err, test.want)
		}
		if !apierrors.IsBadRequest(err) && !apierrors.IsInvalid(err) {
			w.Errorf("%+v: it is told as %v", test.options, apierrors.ReasonForError(err))
		}
	}
}

// listByLabels selects in every way that there is.
func listByLabels(w *world) {
	w.createLeases(3)
	_, err := w.leases().Create(w.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "bare"}}, metav1.CreateOptions{})
	w.ok("create", err)
	for selector, want := range map[string]int{
		"": 4, "parity": 3, "!parity": 1, "parity=0": 2, "parity!=0": 2, "parity in (0,1)": 3, "parity notin (0)": 2, "parity=0,parity=1": 0,
		"parity>0": 1, "parity<1": 2,
	} {
		list, err := w.leases().List(w.Context(), metav1.ListOptions{LabelSelector: selector})
		if err != nil || len(list.Items) != want {
			w.Errorf("%q: got %+v, error %v, want %d", selector, list, err, want)
		}
	}
}

// listOfAllNamespaces can be selected from by the namespace.
func listOfAllNamespaces(w *world) {
	w.createLeases(2)
	list, err := w.client.CoordinationV1().Leases("").List(w.Context(), metav1.ListOptions{FieldSelector: "metadata.namespace=" + w.namespace})
	if err != nil || len(list.Items) != 2 {
		w.Errorf("got %+v, error %v", list, err)
	}
	list, err = w.client.CoordinationV1().Leases("nowhere").List(w.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 0 || list.ResourceVersion == "" {
		w.Errorf("in a namespace that is none: got %+v, error %v", list, err)
	}
}

// expiredToken: "should support continue listing from the last key if the original
// version has been compacted away, though the list is inconsistent".
func expiredToken(w *world) {
	const all = 12
	w.createLeases(all)
	first := w.page(metav1.ListOptions{Limit: 4}, 0, all)
	w.ok("delete", w.leases().Delete(w.Context(), nthLease(0), metav1.DeleteOptions{}))
	w.compact()
	// The servers look for that every 15 seconds; others can go on meanwhile.
	w.Parallel()
	var status apierrors.APIStatus
	w.eventually("the token has expired", func(ctx context.Context) (bool, error) {
		_, err := w.leases().List(ctx, metav1.ListOptions{Limit: 4, Continue: first.Continue})
		if err != nil && !apierrors.IsResourceExpired(err) {
			return false, err
		}
		return errors.As(err, &status), nil
	})
	token := status.Status().ListMeta.Continue
	if status.Status().Code != 410 || token == "" ||
		!strings.Contains(status.Status().Message, "The provided continue parameter is too old to display a consistent list result") {
		w.Fatalf("told %+v", status.Status())
	}
	list := w.page(metav1.ListOptions{Limit: 4, Continue: token}, 4, all)
	if !w.older(first, list) || len(list.Items) != 4 {
		w.Errorf("%d at %s, the first were at %s", len(list.Items), list.ResourceVersion, first.ResourceVersion)
	}
	if last := w.page(metav1.ListOptions{Limit: 4, Continue: list.Continue}, 8, all); last.ResourceVersion != list.ResourceVersion {
		w.Errorf("the last are at %s, those before at %s", last.ResourceVersion, list.ResourceVersion)
	}
	_, err := w.leases().List(w.Context(),
		metav1.ListOptions{ResourceVersion: first.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	if !apierrors.IsResourceExpired(err) {
		w.Errorf("at a version that has gone: %v", err)
	}
}

// compact drops the store's history, as servers do every five minutes. The key is
// how they tell each other.
func (w *world) compact() {
	w.Helper()
	at, err := w.etcd.Put(w.Context(), "compact_rev_key", "0")
	w.ok("put", err)
	_, err = w.etcd.Compact(w.Context(), at.Header.Revision)
	w.ok("compact", err)
	_, err = w.etcd.Put(w.Context(), "compact_rev_key", strconv.FormatInt(at.Header.Revision, 10))
	w.ok("put", err)
}
