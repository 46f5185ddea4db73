package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is everything that was measured; it is what --json writes.
type Report struct {
	When        time.Time `json:"when"`
	Commit      string    `json:"commit,omitempty"`
	KubeVersion string    `json:"kubeAPIServer"`
	EtcdVersion string    `json:"etcd"`
	CPUs        int       `json:"cpus"`
	Platform    string    `json:"platform"`
	Samples     int       `json:"samples"`
	Rounds      int       `json:"rounds"`
	Connections int       `json:"connections"`
	Starts      []*Starts `json:"starts"`
	Memory      []Memory  `json:"memory"`
	Requests    []*Cell   `json:"requests"`
	Large       *Large    `json:"large,omitempty"`
}

// Starts are times from start to ready.
type Starts struct {
	Services int `json:"services"`
	// Seconds are by the name of the server.
	Seconds map[string][]float64 `json:"seconds"`
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

func (r *Report) addStart(services int, name string, startup time.Duration) {
	if len(r.Starts) == 0 || r.Starts[len(r.Starts)-1].Services != services {
		r.Starts = append(r.Starts, &Starts{services, map[string][]float64{}})
	}
	seconds := r.Starts[len(r.Starts)-1].Seconds
	seconds[name] = append(seconds[name], startup.Seconds())
}

// over is the median over the rounds of each number.
func over(rounds []Stats) Stats {
	s := Stats{
		Rate: medianOf(rounds, func(s Stats) float64 { return s.Rate }),
		P50:  medianOf(rounds, func(s Stats) float64 { return s.P50 }),
		P99:  medianOf(rounds, func(s Stats) float64 { return s.P99 }),
		CPU:  medianOf(rounds, func(s Stats) float64 { return s.CPU }),

		FirstByte: medianOf(rounds, func(s Stats) float64 { return s.FirstByte }),
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
		ratios = append(ratios, Stats{
			Rate: quotient(s.Rate, base.Rate), P50: quotient(s.P50, base.P50), P99: quotient(s.P99, base.P99),
			CPU: quotient(s.CPU, base.CPU), FirstByte: quotient(s.FirstByte, base.FirstByte),
		})
	}
	return over(ratios)
}

// quotient is 0 where one of the numbers could not be found out.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (c *Cell) title() string {
	kind := map[string]string{clusterIP: "ClusterIP", nodePort: "NodePort", headless: "headless"}[c.Kind]
	return strings.TrimSpace(c.Op + " " + kind)
}

// String is the line of the progress log.
func (c *Cell) String() string {
	var parts []string
	for _, name := range []string{kubeName, baselineName, portolanName, floorName, emptyName, largeName} {
		if rounds, ok := c.Rounds[name]; ok {
			parts = append(parts, fmt.Sprintf("%s %s", name, over(rounds)))
		}
	}
	return c.title() + ": " + strings.Join(parts, "; ")
}

// String is how the table says it.
func (s Stats) String() string {
	text := fmt.Sprintf("%.0f/s, %.1f / %.1f ms", s.Rate, s.P50, s.P99)
	if s.FirstByte > 0 {
		text += fmt.Sprintf(", first byte %.1f ms", s.FirstByte)
	}
	if s.CPU > 0 {
		text += fmt.Sprintf(", CPU %.2f ms", s.CPU)
	}
	if s.Failed > 0 {
		text += fmt.Sprintf(" (%d failed)", s.Failed)
	}
	return text
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

// readReport reads what writeJSON wrote.
func readReport(path string) (*Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	report := &Report{}
	if err := json.Unmarshal(data, report); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return report, nil
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

func medianOf[T any](rounds []T, of func(T) float64) float64 {
	var values []float64
	for _, round := range rounds {
		values = append(values, of(round))
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
