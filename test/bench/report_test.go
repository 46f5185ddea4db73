package main

import (
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	var hundred []time.Duration
	for n := range 100 {
		hundred = append(hundred, time.Duration(n+1)*time.Millisecond)
	}
	for _, test := range []struct {
		sorted []time.Duration
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{hundred[:1], 0.5, 1},
		{hundred[:1], 0.99, 1},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred[:3], 0.5, 2},
	} {
		if got := quantile(test.sorted, test.q); got != test.want {
			t.Errorf("quantile %v of %d values: got %v, want %v", test.q, len(test.sorted), got, test.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{3, 1, 2}, 2},
		{[]float64{4, 1, 2, 3}, 2.5},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v: got %v, want %v", test.values, got, test.want)
		}
	}
}

// A machine that is twice as slow in one round changes both servers' medians,
// but not the ratio.
func TestRatioIsOfTheSameRound(t *testing.T) {
	cell := newCell(opCreate, clusterIP, 1)
	for _, slow := range []float64{1, 2, 4} {
		cell.add("kube-apiserver", Stats{Rate: 100 / slow, P50: 10 * slow, P99: 20 * slow})
		cell.add("portolan", Stats{Rate: 500 / slow, P50: 2 * slow, P99: 5 * slow})
	}
	if got, want := cell.ratio("portolan", "kube-apiserver"), (Stats{Rate: 5, P50: 0.2, P99: 0.25}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMarkdown(t *testing.T) {
	cell := newCell(opDelete, headless, 32)
	cell.Services = 16000
	cell.add("kube-apiserver", Stats{Rate: 100, P50: 10, P99: 20, Failed: 1})
	cell.add("portolan", Stats{Rate: 250, P50: 4, P99: 5})
	cell.add("etcd", Stats{Rate: 1000, P50: 1, P99: 2})
	report := &Report{KubeVersion: "v1.36.3", Requests: []*Cell{cell}, KubeStarts: []float64{3}, PortolanStarts: []float64{0.6},
		Memory: []Memory{{"idle", 200 << 20, 250 << 20, 50 << 20}}}
	var out strings.Builder
	if err := report.markdown(&out); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| | Services in place | clients | kube-apiserver 1.36.3 | Portolan | Portolan : kube-apiserver | etcd alone |",
		"| delete headless | 16,000 | 32 | 100/s, 10.0 / 20.0 ms (1 failed) | 250/s, 4.0 / 5.0 ms | **2.5×**, 0.40 / 0.25 | 1000/s, 1.0 / 2.0 ms |",
		"| start to ready | 0 | | 3.00 s | 0.60 s | 0.20 | |",
		"| memory, idle | | | 200 MiB | 50 MiB | 0.25 | |",
		"| the same, kube-apiserver with its etcd | | | 250 MiB | 50 MiB | 0.20 | |",
	} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, out.String())
		}
	}
}
