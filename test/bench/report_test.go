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

func newTestReport() *Report {
	cell := newCell(opDelete, headless, 32)
	cell.Services = 16000
	cell.add(kubeName, Stats{Rate: 100, P50: 10, P99: 20, CPU: 3, Failed: 1})
	cell.add(portolanName, Stats{Rate: 250, P50: 4, P99: 5, CPU: 1.5})
	cell.add(floorName, Stats{Rate: 1000, P50: 1, P99: 2})
	list := newCell("list, JSON", "", 1)
	list.add(kubeName, Stats{Rate: 10, P50: 100, P99: 110, CPU: 90, FirstByte: 40})
	list.add(portolanName, Stats{Rate: 20, P50: 50, P99: 55, CPU: 45, FirstByte: 20})
	report := &Report{KubeVersion: "v1.36.3", Requests: []*Cell{cell, list}, Memory: []Memory{{When: "idle", Servers: map[string]Resident{
		kubeName: {Bytes: 250 << 20, Mapped: 100 << 20, Alone: 200 << 20}, portolanName: {Bytes: 50 << 20, Mapped: 20 << 20, Alone: 50 << 20},
	}}}}
	report.addStart(0, kubeName, 3*time.Second)
	report.addStart(0, portolanName, 600*time.Millisecond)
	return report
}

func expectLines(t *testing.T, out string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("no line %q in\n%s", line, out)
		}
	}
}

func TestMarkdown(t *testing.T) {
	var out strings.Builder
	if err := newTestReport().markdown(&out); err != nil {
		t.Fatal(err)
	}
	expectLines(t, out.String(),
		"| | Services in place | clients | kube-apiserver 1.36.3 | Portolan | rate | CPU | etcd alone |",
		"| delete headless | 16,000 | 32 | 100/s, 10.0 / 20.0 ms, CPU 3.00 ms (1 failed) | 250/s, 4.0 / 5.0 ms, CPU 1.50 ms | "+
			"**2.5×** | **2.0×** | 1000/s, 1.0 / 2.0 ms |",
		"| list, JSON | 0 | 1 | 10/s, 100.0 / 110.0 ms, first byte 40.0 ms, CPU 90.00 ms | 20/s, 50.0 / 55.0 ms, first byte 20.0 ms, CPU 45.00 ms | "+
			"**2.0×** | **2.0×** |  |",
		"| start to ready | 0 | | 3.00 s | 0.60 s | **5.0×** | | |",
		"| memory, idle | | | 250 MiB (100 MiB of files) | 50 MiB (20 MiB of files) | 0.20 of it | | |",
	)
}

func TestBaseline(t *testing.T) {
	report := newTestReport()
	report.Requests[0].add(baselineName, Stats{Rate: 200, P50: 5, P99: 6, CPU: 3})
	var out strings.Builder
	if err := report.markdown(&out); err != nil {
		t.Fatal(err)
	}
	expectLines(t, out.String(),
		"| | Services in place | clients | the baseline | Portolan | rate | CPU |",
		"| delete headless | 16,000 | 32 | 200/s, 5.0 / 6.0 ms, CPU 3.00 ms | 250/s, 4.0 / 5.0 ms, CPU 1.50 ms | **1.2×** | **2.0×** |",
	)
}

func TestLarge(t *testing.T) {
	report := newTestReport()
	create := newCell(opCreate, clusterIP, 32)
	create.add(emptyName, Stats{Rate: 1000, P50: 20, P99: 40, CPU: 1})
	create.add(largeName, Stats{Rate: 900, P50: 25, P99: 50, CPU: 2})
	report.Large = &Large{
		Services: 1_000_000, Filled: [2]float64{1400, 1300}, Requests: []*Cell{create}, Lists: 100, Verify: 90.5, Ready: 20,
		Database: 2 << 30, InUse: 1 << 30, Memory: []LargeMemory{{"10s after the last", Resident{Bytes: 3 << 30, Mapped: 1 << 30}}},
	}
	var out strings.Builder
	if err := report.markdown(&out); err != nil {
		t.Fatal(err)
	}
	expectLines(t, out.String(),
		"| Portolan | clients | empty | 1,000,000 Services in place | rate | CPU |",
		"| create ClusterIP | 32 | 1000/s, 20.0 / 40.0 ms, CPU 1.00 ms | 900/s, 25.0 / 50.0 ms, CPU 2.00 ms | **0.9×** | **0.5×** |",
		"| filled, first nine tenths / last | | | 1400/s / 1300/s | | |",
		"| list of all in pages of 500 | | | 100.0 s, 50.0 ms a page | | |",
		"| database, in use of it | | | 2048 MiB, 1024 MiB | | |",
		"| start to ready | | | 20.0 s | | |",
		"| portolan verify | | | 90.5 s | | |",
		"| memory, 10s after the last | | | 3072 MiB (1024 MiB of files) | | |",
	)
}

func TestCompare(t *testing.T) {
	before, after := newTestReport(), newTestReport()
	faster := newCell(opDelete, headless, 32)
	faster.Services = 16000
	faster.add(kubeName, Stats{Rate: 50, P50: 20, P99: 40, CPU: 3})
	faster.add(portolanName, Stats{Rate: 250, P50: 4, P99: 5, CPU: 0.5})
	after.Requests = []*Cell{faster, newCell("get", clusterIP, 1)}
	after.Memory[0].Servers[portolanName] = Resident{Bytes: 25 << 20}
	var out strings.Builder
	if err := compare(&out, before, after); err != nil {
		t.Fatal(err)
	}
	expectLines(t, out.String(),
		"| delete headless | 16,000 | 32 | 250/s, 4.0 / 5.0 ms, CPU 1.50 ms | 250/s, 4.0 / 5.0 ms, CPU 0.50 ms | **3.0×** | **2.0×** / **6.0×** |",
		"| memory, idle | | | 50 MiB (20 MiB of files) | 25 MiB (0 MiB of files) | 0.50 of it | |",
	)
	if strings.Contains(out.String(), "get") || strings.Contains(out.String(), "list") {
		t.Errorf("a line that only one run has:\n%s", out.String())
	}
}

func TestPlot(t *testing.T) {
	report := &Report{}
	for services, rate := range map[int]float64{0: 400, 8000: 100} {
		cell := newCell(opCreate, clusterIP, 32)
		cell.Services = services
		cell.add(kubeName, Stats{Rate: rate})
		cell.add(portolanName, Stats{Rate: 1000})
		report.Requests = append(report.Requests, cell)
		report.Memory = append(report.Memory, Memory{Services: &services, Servers: map[string]Resident{
			kubeName: {Bytes: int64(services+300) << 20}, portolanName: {Bytes: int64(services/2+150) << 20},
		}})
	}
	report.Memory = append(report.Memory, Memory{When: "after churn", Servers: map[string]Resident{kubeName: {Bytes: 1 << 40}}})
	var out strings.Builder
	if err := report.plot(&out); err != nil {
		t.Fatal(err)
	}
	// A rate of 100 is half as high as one of 1,000, and the most memory is at the top.
	expectLines(t, out.String(),
		`<text x="30" y="24" font-size="14" fill="#1f2328" text-anchor="start">ClusterIP creates per second, 32 clients, logarithmic</text>`,
		`<polyline fill="none" stroke-width="2" stroke="#0969da" points="30.0,70.0 410.0,70.0 "/>`,
		`<text x="410.0" y="165.0" dy="-8" fill="#d1242f">100</text>`,
		`<text x="410.0" y="70.0" dy="-8" fill="#d1242f">8,300</text>`,
		`<text x="410.0" y="276">8,000</text>`,
	)
	if err := newTestReport().plot(&out); err == nil {
		t.Error("a report without creates was drawn")
	}
}
