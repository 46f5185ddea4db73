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

func (f *fixture) leases() clientcoordinationv1.LeaseInterface {
	return f.client.CoordinationV1().Leases(f.namespace)
}

// createLeases creates small objects, with their number as a label.
func (f *fixture) createLeases(count int) {
	f.Helper()
	for n := range count {
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: nthLease(n), Labels: map[string]string{"parity": strconv.Itoa(n % 2)}}}
		_, err := f.leases().Create(f.Context(), lease, metav1.CreateOptions{})
		f.ok("create", err)
	}
}

func nthLease(n int) string { return fmt.Sprintf("lease-%04d", n) }

// page lists the next chunk, which must start with the given object of all.
func (f *fixture) page(options metav1.ListOptions, first, all int) *coordinationv1.LeaseList {
	f.Helper()
	list, err := f.leases().List(f.Context(), options)
	f.ok("list", err)
	if options.Limit > 0 && len(list.Items) > int(options.Limit) {
		f.Errorf("%d of at most %d", len(list.Items), options.Limit)
	}
	for i, lease := range list.Items {
		if want := nthLease(first + i); lease.Name != want {
			f.Fatalf("found %s, want %s", lease.Name, want)
		}
	}
	left := all - first - len(list.Items)
	if (list.Continue == "") != (left == 0) || (list.RemainingItemCount == nil) != (left == 0) ||
		int(ptr.Deref(list.RemainingItemCount, 0)) != left {
		f.Errorf("after %d of %d: %+v", first+len(list.Items), all, list.ListMeta)
	}
	return list
}

// listInChunks: "should return chunks of results for list calls". Objects
// created meanwhile are in no chunk.
func listInChunks(f *fixture) {
	const all = 30
	f.createLeases(all)
	for _, limit := range []int64{1, 7, 15, all - 1, all, all + 1} {
		options, found, at := metav1.ListOptions{Limit: limit}, 0, ""
		for more := true; more; more = options.Continue != "" {
			list := f.page(options, found, all)
			if at != "" && list.ResourceVersion != at {
				f.Errorf("a chunk is of version %s, the first one was of %s", list.ResourceVersion, at)
			}
			found, at, options.Continue = found+len(list.Items), list.ResourceVersion, list.Continue
		}
		if found != all {
			f.Errorf("found %d at %d a time", found, limit)
		}
	}
	first := f.page(metav1.ListOptions{Limit: 10}, 0, all)
	late := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "lease-0020-late"}}
	_, err := f.leases().Create(f.Context(), late, metav1.CreateOptions{})
	f.ok("create", err)
	f.ok("delete", f.leases().Delete(f.Context(), nthLease(25), metav1.DeleteOptions{}))
	rest := f.page(metav1.ListOptions{Continue: first.Continue}, 10, all)
	if len(rest.Items) != all-10 || rest.ResourceVersion != first.ResourceVersion {
		f.Errorf("the rest are %d at %s, the first were at %s", len(rest.Items), rest.ResourceVersion, first.ResourceVersion)
	}
}

// chunksOfASelection do not say how many objects remain.
func chunksOfASelection(f *fixture) {
	f.createLeases(10)
	options := metav1.ListOptions{Limit: 2, LabelSelector: "parity=1"}
	var names []string
	for more := true; more; more = options.Continue != "" {
		list, err := f.leases().List(f.Context(), options)
		f.ok("list", err)
		for _, lease := range list.Items {
			names = append(names, lease.Name)
		}
		if list.RemainingItemCount != nil || len(list.Items) > 2 {
			f.Errorf("%d, and %d are left", len(list.Items), *list.RemainingItemCount)
		}
		options.Continue = list.Continue
	}
	if got := strings.Join(names, " "); got != "lease-0001 lease-0003 lease-0005 lease-0007 lease-0009" {
		f.Errorf("found %s", got)
	}
}

// listAtAVersion reads an exact version, or one that is not older.
func listAtAVersion(f *fixture) {
	ctx := f.Context()
	f.createLeases(3)
	before := f.page(metav1.ListOptions{}, 0, 3)
	f.ok("delete", f.leases().Delete(ctx, nthLease(2), metav1.DeleteOptions{}))
	for _, test := range []struct {
		options metav1.ListOptions
		want    int
	}{
		{metav1.ListOptions{}, 2},
		{metav1.ListOptions{ResourceVersion: before.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact}, 3},
		{metav1.ListOptions{ResourceVersion: before.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
			LabelSelector: "parity=1"}, 1},
	} {
		list, err := f.leases().List(ctx, test.options)
		if err != nil || len(list.Items) != test.want {
			f.Errorf("%+v: got %+v, error %v, want %d", test.options, list, err, test.want)
		}
		if err == nil && test.options.ResourceVersion != "" && list.ResourceVersion != before.ResourceVersion {
			f.Errorf("%+v: it is of %s", test.options, list.ResourceVersion)
		}
	}
	for _, options := range []metav1.ListOptions{
		{ResourceVersion: before.ResourceVersion},
		{ResourceVersion: before.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan},
		{ResourceVersion: before.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, Limit: 500},
	} {
		list, err := f.leases().List(ctx, options)
		if err != nil || f.older(list, before) || len(list.Items) < 2 {
			f.Errorf("%+v: got %+v, error %v", options, list, err)
		}
	}
	f.eventually("what is there, of any age", func(ctx context.Context) (bool, error) {
		list, err := f.leases().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		return err == nil && len(list.Items) == 2, err
	})
	got, err := f.leases().Get(ctx, nthLease(0), metav1.GetOptions{ResourceVersion: before.ResourceVersion})
	if err != nil || got.Name != nthLease(0) {
		f.Errorf("got %+v, error %v", got, err)
	}
}

// listOptions: invalid options are rejected with the reason.
func listOptions(f *fixture) {
	f.createLeases(2)
	page := f.page(metav1.ListOptions{Limit: 1}, 0, 2)
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
		_, err := f.leases().List(f.Context(), test.options)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			f.Errorf("%+v: got %v, want %s", test.options, err, test.want)
		}
		if !apierrors.IsBadRequest(err) && !apierrors.IsInvalid(err) {
			f.Errorf("%+v: the error is %v", test.options, apierrors.ReasonForError(err))
		}
	}
}

// listByLabels uses each kind of label selector.
func listByLabels(f *fixture) {
	f.createLeases(3)
	_, err := f.leases().Create(f.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "bare"}}, metav1.CreateOptions{})
	f.ok("create", err)
	for selector, want := range map[string]int{
		"": 4, "parity": 3, "!parity": 1, "parity=0": 2, "parity!=0": 2, "parity in (0,1)": 3, "parity notin (0)": 2, "parity=0,parity=1": 0,
		"parity>0": 1, "parity<1": 2,
	} {
		list, err := f.leases().List(f.Context(), metav1.ListOptions{LabelSelector: selector})
		if err != nil || len(list.Items) != want {
			f.Errorf("%q: got %+v, error %v, want %d", selector, list, err, want)
		}
	}
}

// listOfAllNamespaces can be selected by namespace.
func listOfAllNamespaces(f *fixture) {
	f.createLeases(2)
	list, err := f.client.CoordinationV1().Leases("").List(f.Context(), metav1.ListOptions{FieldSelector: "metadata.namespace=" + f.namespace})
	if err != nil || len(list.Items) != 2 {
		f.Errorf("got %+v, error %v", list, err)
	}
	list, err = f.client.CoordinationV1().Leases("nowhere").List(f.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 0 || list.ResourceVersion == "" {
		f.Errorf("in a missing namespace: got %+v, error %v", list, err)
	}
}

// expiredToken: "should support continue listing from the last key if the original
// version has been compacted away, though the list is inconsistent".
func expiredToken(f *fixture) {
	const all = 12
	f.createLeases(all)
	first := f.page(metav1.ListOptions{Limit: 4}, 0, all)
	f.ok("delete", f.leases().Delete(f.Context(), nthLease(0), metav1.DeleteOptions{}))
	f.compact()
	// The servers check for compaction every 15 seconds. Other tests go on
	// meanwhile.
	f.Parallel()
	var status apierrors.APIStatus
	f.eventually("the token has expired", func(ctx context.Context) (bool, error) {
		_, err := f.leases().List(ctx, metav1.ListOptions{Limit: 4, Continue: first.Continue})
		if err != nil && !apierrors.IsResourceExpired(err) {
			return false, err
		}
		return errors.As(err, &status), nil
	})
	token := status.Status().ListMeta.Continue
	if status.Status().Code != 410 || token == "" ||
		!strings.Contains(status.Status().Message, "The provided continue parameter is too old to display a consistent list result") {
		f.Fatalf("got %+v", status.Status())
	}
	list := f.page(metav1.ListOptions{Limit: 4, Continue: token}, 4, all)
	if !f.older(first, list) || len(list.Items) != 4 {
		f.Errorf("%d at %s, the first were at %s", len(list.Items), list.ResourceVersion, first.ResourceVersion)
	}
	if last := f.page(metav1.ListOptions{Limit: 4, Continue: list.Continue}, 8, all); last.ResourceVersion != list.ResourceVersion {
		f.Errorf("the last are at %s, those before at %s", last.ResourceVersion, list.ResourceVersion)
	}
	_, err := f.leases().List(f.Context(),
		metav1.ListOptions{ResourceVersion: first.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	if !apierrors.IsResourceExpired(err) {
		f.Errorf("at a version that has gone: %v", err)
	}
}

// compact drops the history of the store, as servers do every five minutes.
// With the key, servers notify each other.
func (f *fixture) compact() {
	f.Helper()
	at, err := f.etcd.Put(f.Context(), "compact_rev_key", "0")
	f.ok("put", err)
	_, err = f.etcd.Compact(f.Context(), at.Header.Revision)
	f.ok("compact", err)
	_, err = f.etcd.Put(f.Context(), "compact_rev_key", strconv.FormatInt(at.Header.Revision, 10))
	f.ok("put", err)
}
