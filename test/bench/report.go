package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is everything that was measured; it is what --json writes.
type Report struct {
	When           time.Time `json:"when"`
	Commit         string    `json:"commit,omitempty"`
	KubeVersion    string    `json:"kubeAPIServer"`
	EtcdVersion    string    `json:"etcd"`
	CPUs           int       `json:"cpus"`
	Platform       string    `json:"platform"`
	Samples        int       `json:"samples"`
	Rounds         int       `json:"rounds"`
	Connections    int       `json:"connections"`
	KubeStarts     []float64 `json:"kubeAPIServerStartSeconds"`
	PortolanStarts []float64 `json:"portolanStartSeconds"`
	Memory         []Memory  `json:"memory"`
	Requests       []*Cell   `json:"requests"`
	Large          *Large    `json:"large,omitempty"`
}

// Memory is resident memory in bytes.
type Memory struct {
	When        string `json:"when"`
	Kube        int64  `json:"kubeAPIServer"`
	KubeAndEtcd int64  `json:"kubeAPIServerAndEtcd"`
	Portolan    int64  `json:"portolan"`
}

// Large is Portolan with many Services in place beside an empty one.
type Large struct {
	Services int     `json:"services"`
	Memory   int64   `json:"memory"`
	Requests []*Cell `json:"requests"`
}

// Cell is one line of the table: an operation at one level and load, each
// target's rounds.
type Cell struct {
	Op       string             `json:"op"`
	Kind     string             `json:"kind"`
	Clients  int                `json:"clients"`
	Services int                `json:"services"`
	Rounds   map[string][]Stats `json:"rounds"`
}

func newReport(o *options, p *programs) *Report {
	return &Report{
		When: time.Now().UTC().Truncate(time.Second), Commit: p.commit,
		KubeVersion: p.kubeVersion, EtcdVersion: p.etcdVersion,
		CPUs: runtime.NumCPU(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Samples: o.samples, Rounds: o.rounds, Connections: o.connections,
	}
}

func newCell(op, kind string, clients int) *Cell {
	return &Cell{Op: op, Kind: kind, Clients: clients, Rounds: map[string][]Stats{}}
}

func (c *Cell) add(target string, s Stats) { c.Rounds[target] = append(c.Rounds[target], s) }

func (r *Report) addStart(kube, portolan time.Duration) {
	r.KubeStarts = append(r.KubeStarts, kube.Seconds())
	r.PortolanStarts = append(r.PortolanStarts, portolan.Seconds())
}

// over is the median over the rounds of each number.
func over(rounds []Stats) Stats {
	s := Stats{
		Rate: medianOf(rounds, func(s Stats) float64 { return s.Rate }),
		P50:  medianOf(rounds, func(s Stats) float64 { return s.P50 }),
		P99:  medianOf(rounds, func(s Stats) float64 { return s.P99 }),
	}
	for _, round := range rounds {
		s.Failed += round.Failed
	}
	return s
}

// ratio is the median over the rounds of each round's ratio: what the two had
// in common in a round, such as a busy machine, falls out.
func (c *Cell) ratio(of, to string) Stats {
	var ratios []Stats
	for n, s := range c.Rounds[of] {
		base := c.Rounds[to][n]
		ratios = append(ratios, Stats{Rate: s.Rate / base.Rate, P50: s.P50 / base.P50, P99: s.P99 / base.P99})
	}
	return over(ratios)
}

func (c *Cell) title() string {
	kind := map[string]string{clusterIP: "ClusterIP", nodePort: "NodePort", headless: "headless"}[c.Kind]
	return c.Op + " " + kind
}

// String is the line of the progress log.
func (c *Cell) String() string {
	var parts []string
	for _, name := range []string{"kube-apiserver", "portolan", "etcd", emptyName, largeName} {
		if rounds, ok := c.Rounds[name]; ok {
			parts = append(parts, fmt.Sprintf("%s %s", name, over(rounds)))
		}
	}
	return c.title() + ": " + strings.Join(parts, "; ")
}

// String is how the table says it.
func (s Stats) String() string {
	text := fmt.Sprintf("%.0f/s, %.1f / %.1f ms", s.Rate, s.P50, s.P99)
	if s.Failed > 0 {
		text += fmt.Sprintf(" (%d failed)", s.Failed)
	}
	return text
}

func ratioText(s Stats) string { return fmt.Sprintf("**%.1f×**, %.2f / %.2f", s.Rate, s.P50, s.P99) }

// markdown prints the table.
func (r *Report) markdown(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "| | Services in place | clients | kube-apiserver %s | Portolan | Portolan : kube-apiserver | etcd alone |\n",
		strings.TrimPrefix(r.KubeVersion, "v"))
	b.WriteString("|---|--:|--:|--:|--:|--:|--:|\n")
	for _, c := range r.Requests {
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %s | %s | %s |\n", c.title(), thousands(c.Services), c.Clients,
			over(c.Rounds["kube-apiserver"]), over(c.Rounds["portolan"]), ratioText(c.ratio("portolan", "kube-apiserver")), over(c.Rounds["etcd"]))
	}
	kube, portolan := median(r.KubeStarts), median(r.PortolanStarts)
	fmt.Fprintf(&b, "| start to ready | 0 | | %.2f s | %.2f s | %.2f | |\n", kube, portolan, portolan/kube)
	for _, m := range r.Memory {
		fmt.Fprintf(&b, "| memory, %s | | | %s | %s | %.2f | |\n", m.When, megabytes(m.Kube), megabytes(m.Portolan),
			float64(m.Portolan)/float64(m.Kube))
		fmt.Fprintf(&b, "| the same, kube-apiserver with its etcd | | | %s | %s | %.2f | |\n",
			megabytes(m.KubeAndEtcd), megabytes(m.Portolan), float64(m.Portolan)/float64(m.KubeAndEtcd))
	}
	fmt.Fprintf(&b, "\nRequests per second, median / 99th percentile latency; medians over %d rounds of %d requests, on %d CPUs (%s). "+
		"Each server has its own data directory with fsync on: kube-apiserver and the last column etcd %s, Portolan its embedded etcd. "+
		"Client and servers share the machine. etcd alone commits the transaction that Portolan sends. Ratios are of the same round.\n",
		r.Rounds, r.Samples, r.CPUs, r.Platform, strings.TrimPrefix(r.EtcdVersion, "v"))
	if r.Large != nil {
		r.Large.markdown(&b)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (l *Large) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n| Portolan | clients | empty | %s Services in place | ratio |\n|---|--:|--:|--:|--:|\n", thousands(l.Services))
	for _, c := range l.Requests {
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s |\n", c.title(), c.Clients,
			over(c.Rounds[emptyName]), over(c.Rounds[largeName]), strings.Replace(ratioText(c.ratio(largeName, emptyName)), "**", "", 2))
	}
	fmt.Fprintf(b, "| memory | | | %s | |\n", megabytes(l.Memory))
}

func (r *Report) writeJSON(path string) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func medianOf(rounds []Stats, of func(Stats) float64) float64 {
	var values []float64
	for _, s := range rounds {
		values = append(values, of(s))
	}
	return median(values)
}

func megabytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// thousands writes 16000 as 16,000.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
