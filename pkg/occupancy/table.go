package occupancy

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const (
	barWidth = 10
	// maxNames is how many blocks, namespaces, Services or values are named.
	maxNames = 3
)

// WriteTable writes usages as a table for people, and the values outside all ranges below
// it.
func WriteTable(out io.Writer, usages []Usage, outside []string) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "RANGE\tVALUES\tFILL\tALLOCATED\tCAPACITY\tSTATIC\tNEW 1H\tTOP NAMESPACES\tNOTES")
	for _, u := range usages {
		fmt.Fprintf(table, "%s/%s\t%s\t%s\t%d\t%s\t%s\t%d\t%s\t%s\n", strings.ToLower(u.Kind), u.Name, some(u.Blocks, maxNames),
			fill(u.Allocated, u.Capacity), u.Allocated, number(u.Capacity), ratio(u.StaticAllocated, u.StaticCapacity), u.New,
			namespaces(u), notes(u))
	}
	if err := table.Flush(); err != nil || len(outside) == 0 {
		return err
	}
	_, err := fmt.Fprintf(out, "\nOutside all ranges: %s\n", some(outside, maxNames))
	return err
}

// fill returns a bar and a percentage. The bar is empty only if nothing is allocated, and
// full only if nothing is free.
func fill(allocated, capacity int64) string {
	if capacity == 0 {
		return bar(0) + "   -"
	}
	share := float64(allocated) / float64(capacity)
	percent := strconv.FormatFloat(share*100, 'f', 1, 64)
	if allocated > 0 && share < 0.001 {
		percent = "<0.1"
	}
	cells := int(math.Round(share * barWidth))
	if allocated > 0 {
		cells = max(cells, 1)
	}
	if allocated < capacity {
		cells = min(cells, barWidth-1)
	}
	return bar(min(cells, barWidth)) + " " + percent + "%"
}

func bar(cells int) string {
	return "[" + strings.Repeat("#", cells) + strings.Repeat(".", barWidth-cells) + "]"
}

// number returns a figure, which is capped.
func number(n int64) string {
	if n == math.MaxInt64 {
		return ">=2^63"
	}
	return strconv.FormatInt(n, 10)
}

func ratio(allocated, capacity int64) string {
	if capacity == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", allocated, capacity)
}

func some(texts []string, most int) string {
	if len(texts) <= most {
		return strings.Join(texts, ",")
	}
	return fmt.Sprintf("%s,+%d", strings.Join(texts[:most], ","), len(texts)-most)
}

func namespaces(u Usage) string {
	if len(u.Namespaces) == 0 {
		return "-"
	}
	var all []string
	for _, n := range u.Namespaces {
		all = append(all, fmt.Sprintf("%s:%d", n.Namespace, n.Allocated))
	}
	return some(all, maxNames)
}

func notes(u Usage) string {
	var notes []string
	if u.Allocation != v1.AllocationAutomatic {
		notes = append(notes, string(u.Allocation))
	}
	if u.Reserved > 0 {
		notes = append(notes, fmt.Sprintf("%d reserved", u.Reserved))
	}
	if notes = append(notes, u.Conditions...); len(notes) == 0 {
		return "-"
	}
	return strings.Join(notes, ",")
}
