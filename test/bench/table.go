package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// markdown prints the tables.
func (r *Report) markdown(out io.Writer) error {
	var b strings.Builder
	r.compared(&b, kubeName, "kube-apiserver "+strings.TrimPrefix(r.KubeVersion, "v"), true)
	fmt.Fprintf(&b, "\nRequests per second, median / 99th percentile latency, and the server's CPU time per request, with that of kube-apiserver's etcd; "+
		"ratios of the rate (Portolan : other, more is better) and of the CPU time (other : Portolan, more is better). "+
		"Medians over %d rounds of %d requests, on %d CPUs (%s). Each server has its own data directory with fsync on: "+
		"kube-apiserver and the last column etcd %s, Portolan its embedded etcd. Client and servers share the machine. "+
		"etcd alone commits the transaction that Portolan sends. Ratios are of the same round.\n",
		r.Rounds, r.Samples, r.CPUs, r.Platform, strings.TrimPrefix(r.EtcdVersion, "v"))
	if r.hasBaseline() {
		b.WriteString("\n")
		r.compared(&b, baselineName, "the baseline", false)
	}
	if r.Large != nil {
		r.Large.markdown(&b)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (r *Report) hasBaseline() bool {
	return slices.ContainsFunc(r.Requests, func(c *Cell) bool { return len(c.Rounds[baselineName]) > 0 })
}

// compared prints the table of one server and Portolan.
func (r *Report) compared(b *strings.Builder, other, title string, withFloor bool) {
	fmt.Fprintf(b, "| | Services in place | clients | %s | Portolan | rate | CPU |%s\n", title, only(withFloor, " etcd alone |"))
	b.WriteString("|---|--:|--:|--:|--:|--:|--:|" + only(withFloor, "--:|") + "\n")
	for _, c := range r.Requests {
		if len(c.Rounds[other]) == 0 {
			continue
		}
		rate, cpu := c.ratio(portolanName, other).Rate, c.ratio(other, portolanName).CPU
		floor := ""
		if len(c.Rounds[floorName]) > 0 {
			floor = over(c.Rounds[floorName]).String()
		}
		fmt.Fprintf(b, "| %s | %s | %d | %s | %s | %s | %s |%s\n", c.title(), thousands(c.Services), c.Clients,
			over(c.Rounds[other]), over(c.Rounds[portolanName]), times(rate), times(cpu), only(withFloor, " "+floor+" |"))
	}
	for _, s := range r.Starts {
		theirs, ours := median(s.Seconds[other]), median(s.Seconds[portolanName])
		fmt.Fprintf(b, "| start to ready | %s | | %.2f s | %.2f s | %s | |%s\n", thousands(s.Services), theirs, ours,
			times(quotient(theirs, ours)), only(withFloor, " |"))
	}
	for _, m := range r.Memory {
		theirs, ours := m.Servers[other], m.Servers[portolanName]
		fmt.Fprintf(b, "| memory, %s | | | %s | %s | %.2f of it | |%s\n", m.When, theirs, ours,
			quotient(float64(ours.Bytes), float64(theirs.Bytes)), only(withFloor, " |"))
	}
}

func only(condition bool, text string) string {
	if !condition {
		return ""
	}
	return text
}

// times is a ratio. It is empty where one of the numbers could not be found out.
func times(ratio float64) string {
	if ratio == 0 {
		return ""
	}
	return fmt.Sprintf("**%.1f×**", ratio)
}

func (l *Large) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n| Portolan | clients | empty | %s Services in place | rate | CPU |\n|---|--:|--:|--:|--:|--:|\n", thousands(l.Services))
	for _, c := range l.Requests {
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %s |\n", c.title(), c.Clients, over(c.Rounds[emptyName]), over(c.Rounds[largeName]),
			times(c.ratio(largeName, emptyName).Rate), times(c.ratio(emptyName, largeName).CPU))
	}
	row := func(what, format string, args ...any) {
		fmt.Fprintf(b, "| %s | | | "+format+" | | |\n", append([]any{what}, args...)...)
	}
	row("filled, first nine tenths / last", "%.0f/s / %.0f/s", l.Filled[0], l.Filled[1])
	row(fmt.Sprintf("list of all in pages of %d", pageSize), "%.1f s, %.1f ms a page", l.Lists,
		1000*l.Lists*pageSize/float64(l.Services))
	row("database, in use of it", "%s, %s", megabytes(l.Database), megabytes(l.InUse))
	row("start to ready", "%.1f s", l.Ready)
	row("portolan verify", "%.1f s", l.Verify)
	for _, m := range l.Memory {
		row("memory, "+m.When, "%s", m.Resident)
	}
}
