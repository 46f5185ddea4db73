package migrate

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report is what came of a migration.
type Report struct {
	// DryRun says that Rewritten counts what would be rewritten.
	DryRun    bool
	Resources []Count
	// Unreadable says of each object that was left why it can't be decrypted or
	// decoded.
	Unreadable []string
}

// Count is what came of the objects of one resource.
type Count struct {
	Resource string
	// Read are all of them.
	Read int
	// Rewritten were not stored as they would be today.
	Rewritten int
	// Meanwhile are those that somebody else wrote or deleted in between.
	Meanwhile  int
	Unreadable int
}

// Total adds up the resources.
func (r Report) Total() Count {
	total := Count{Resource: "all"}
	for _, count := range r.Resources {
		total.Read += count.Read
		total.Rewritten += count.Rewritten
		total.Meanwhile += count.Meanwhile
		total.Unreadable += count.Unreadable
	}
	return total
}

// Err is nil unless objects were left that can't be read.
func (r Report) Err() error {
	switch n := len(r.Unreadable); n {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("1 object can't be read and was left as it is")
	default:
		return fmt.Errorf("%d objects can't be read and were left as they are", n)
	}
}

// String is the report for people: a table, and what can't be read.
func (r Report) String() string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	headline := "REWRITTEN"
	if r.DryRun {
		headline = "TO REWRITE"
	}
	fmt.Fprintf(table, "RESOURCE\tREAD\t%s\tWRITTEN MEANWHILE\tUNREADABLE\n", headline)
	for _, count := range append(slices.Clone(r.Resources), r.Total()) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\n", count.Resource, count.Read, count.Rewritten, count.Meanwhile, count.Unreadable)
	}
	// What it writes to can't fail.
	if err := table.Flush(); err != nil {
		return err.Error()
	}
	for _, reason := range r.Unreadable {
		fmt.Fprintf(&b, "unreadable: %s\n", reason)
	}
	return b.String()
}
