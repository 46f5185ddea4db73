package importer

import (
	"errors"
	"fmt"
	"strings"
)

// String formats the problems for people, each with its repair or advice.
func (p *Plan) String() string {
	var b strings.Builder
	for _, note := range p.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	for _, problem := range p.Problems {
		fmt.Fprintf(&b, "problem: %s\n", problem.Text)
		switch {
		case p.isRepaired(problem):
			fmt.Fprintf(&b, "  repair: %s\n", problem.Repair)
		case problem.Repair == "":
			fmt.Fprintf(&b, "  by hand: %s\n", problem.Advice)
		default:
			fmt.Fprintf(&b, "  by hand: %s\n  with %s: %s\n", problem.Advice, problem.flags(), problem.Repair)
		}
	}
	return b.String()
}

// flags returns the flags that make a plan repair a problem.
func (p Problem) flags() string {
	if p.duplicate {
		return "--repair --renumber"
	}
	return "--repair"
}

// Err returns an error if problems are left.
func (p *Plan) Err() error {
	open := p.Open()
	if len(open) == 0 {
		return nil
	}
	flags, byHand := "", 0
	for _, problem := range open {
		if problem.Repair == "" {
			byHand++
		} else if len(problem.flags()) > len(flags) {
			flags = problem.flags()
		}
	}
	text := fmt.Sprintf("nothing was imported: %s the import", count(len(open), "problem prevents", "problems prevent"))
	if flags != "" {
		text += ". Fix them in the cluster, or import with " + flags
	}
	if byHand > 0 {
		text += fmt.Sprintf("; %d must be fixed by hand", byHand)
	}
	return errors.New(text)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
