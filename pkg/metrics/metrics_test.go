package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/server/mux"

	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/etcd/quota"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// TestLag follows commits and the watch's events for them.
func TestLag(t *testing.T) {
	t.Parallel()
	type event struct {
		committed, observed int64
		after               time.Duration
	}
	const second = time.Second
	for name, test := range map[string]struct {
		events   []event
		count    int
		sum      float64
		awaiting time.Duration
	}{
		"nothing":                 {nil, 0, 0, 0},
		"waiting":                 {[]event{{committed: 5}, {after: second}}, 0, 0, second},
		"observed":                {[]event{{committed: 5}, {after: second}, {observed: 5}, {after: second}}, 1, 1, 0},
		"a later one observed":    {[]event{{committed: 5}, {after: second}, {observed: 9}}, 1, 1, 0},
		"an earlier one observed": {[]event{{committed: 5}, {after: second}, {observed: 4}}, 0, 0, second},
		"the watch came first":    {[]event{{observed: 5}, {after: second}, {committed: 5}}, 1, 0, 0},
		"one at a time":           {[]event{{committed: 5}, {after: second}, {committed: 6}, {after: second}, {observed: 6}}, 1, 2, 0},
		"the oldest one":          {[]event{{committed: 5}, {after: second}, {committed: 6}, {after: second}}, 0, 0, 2 * second},
		"one after another": {
			[]event{{committed: 5}, {after: second}, {observed: 5}, {committed: 6}, {after: second}, {observed: 6}}, 2, 2, 0,
		},
		"observed twice":               {[]event{{committed: 5}, {observed: 5}, {after: second}, {observed: 5}}, 1, 0, 0},
		"an older event after a newer": {[]event{{observed: 9}, {observed: 3}, {committed: 5}}, 1, 0, 0},
		"the next one is waited for":   {[]event{{committed: 5}, {observed: 5}, {committed: 6}, {after: second}}, 1, 0, second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Unix(0, 0)
			m := New(allocation.New(time.Now))
			m.lags.now = func() time.Time { return now }
			for _, event := range test.events {
				now = now.Add(event.after)
				switch {
				case event.committed > 0:
					m.Allocated(claims.Allocation{Value: allocation.NodePort(1), Revision: event.committed})
				case event.observed > 0:
					m.ObserveRevision(allocation.Port, event.observed)
				}
			}
			if got := m.lags.awaiting(allocation.Port); got != test.awaiting {
				t.Errorf("awaiting for %v, want %v", got, test.awaiting)
			}
			families, err := m.registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			count, sum := 0, 0.0
			for _, family := range families {
				if family.GetName() == "portolan_allocation_index_lag_seconds" {
					for _, metric := range family.GetMetric() {
						count += int(metric.GetHistogram().GetSampleCount())
						sum += metric.GetHistogram().GetSampleSum()
					}
				}
			}
			if count != test.count || sum != test.sum {
				t.Errorf("%d lags of %v s together, want %d of %v s", count, sum, test.count, test.sum)
			}
		})
	}
}

// TestDelete forgets what was counted, but only where the generic server would.
func TestDelete(t *testing.T) {
	for resettable, want := range map[bool]string{
		false: `portolan_transactions_total{outcome="committed"} 1`,
		true:  "",
	} {
		m := New(allocation.New(time.Now))
		m.Transaction(txn.ResultCommitted, 3)
		paths := mux.NewPathRecorderMux("test")
		paths.HandleFunc("/metrics", func(http.ResponseWriter, *http.Request) { t.Error("the generic handler still serves") })
		m.Install(paths, resettable)
		do := func(method string) string {
			recorder := httptest.NewRecorder()
			paths.ServeHTTP(recorder, httptest.NewRequest(method, "/metrics", nil))
			if recorder.Code != http.StatusOK {
				t.Errorf("%s: %d", method, recorder.Code)
			}
			return recorder.Body.String()
		}
		do(http.MethodDelete)
		found := ""
		body := do(http.MethodGet)
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "portolan_transactions_total") && !strings.HasSuffix(line, " 0\n") {
				found = strings.TrimSpace(line)
			}
		}
		if found != want || !strings.Contains(body, "portolan_transaction_operations_count") || !strings.Contains(body, "go_goroutines") {
			t.Errorf("resettable %v: after a DELETE there is %q, want %q", resettable, found, want)
		}
	}
}

type fakeStore struct{}

func (fakeStore) Usage() quota.Usage { return quota.Usage{Size: 300, InUse: 200} }
func (fakeStore) Quota() int64       { return 1000 }
func (fakeStore) Rejected() uint64   { return 7 }

// TestStore exports the sizes of an embedded etcd under etcd's names.
func TestStore(t *testing.T) {
	t.Parallel()
	m := New(allocation.New(time.Now))
	m.ExportStore(fakeStore{})
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			got[family.GetName()] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"etcd_mvcc_db_total_size_in_bytes": 300, "etcd_mvcc_db_total_size_in_use_in_bytes": 200,
		"etcd_server_quota_backend_bytes": 1000, "portolan_store_rejected_writes_total": 7,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}
