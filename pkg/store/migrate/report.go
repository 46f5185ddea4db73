package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report is the result of a migration.
type Report struct {
	// DryRun means that Rewritten counts objects that would be rewritten.
	DryRun    bool
	Resources []Count
	// Unreadable holds, for each object that can't be decrypted or decoded, the
	// error. Such an object is left as it is.
	Unreadable []string
}

// Count counts the objects of one resource.
type Count struct {
	Resource string
	// Read counts all objects.
	Read int
	// Rewritten counts those that this release would store differently.
	Rewritten int
	// WrittenMeanwhile counts those that a server wrote or deleted in between.
	WrittenMeanwhile int
	Unreadable       int
}

// Total returns the sum over all resources.
func (r Report) Total() Count {
	total := Count{Resource: "all"}
	for _, count := range r.Resources {
		total.Read += count.Read
		total.Rewritten += count.Rewritten
		total.WrittenMeanwhile += count.WrittenMeanwhile
		total.Unreadable += count.Unreadable
	}
	return total
}

// Err returns an error if objects can't be read.
func (r Report) Err() error {
	switch n := len(r.Unreadable); n {
	case 0:
		return nil
	case 1:
		return errors.New("1 object can't be read and was left as it is")
	default:
		return fmt.Errorf("%d objects can't be read and were left as they are", n)
	}
}

// String formats the report for people: a table, and the objects that can't be
// read.
func (r Report) String() string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	headline := "REWRITTEN"
	if r.DryRun {
		headline = "TO REWRITE"
	}
	fmt.Fprintf(table, "RESOURCE\tREAD\t%s\tWRITTEN MEANWHILE\tUNREADABLE\n", headline)
	for _, count := range append(slices.Clone(r.Resources), r.Total()) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\n", count.Resource, count.Read, count.Rewritten, count.WrittenMeanwhile,
			count.Unreadable)
	}
	// A strings.Builder never fails.
	if err := table.Flush(); err != nil {
		return err.Error()
	}
	for _, reason := range r.Unreadable {
		fmt.Fprintf(&b, "unreadable: %s\n", reason)
	}
	return b.String()
}
