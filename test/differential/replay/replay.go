//go:build e2e

package replay

import (
	"context"
	"fmt"
	"sync"
)

// replay sends sequences to both servers.
type replay struct {
	plan     *plan
	upstream *target
	portolan *target
	report   *report
}

// run replays sequences on all workers. Which worker replays a sequence does
// not depend on how fast the others are.
func (r *replay) run(ctx context.Context, sequences []Sequence) error {
	errs := make(chan error, r.plan.workers)
	var workers sync.WaitGroup
	for worker := range r.plan.workers {
		workers.Go(func() {
			for turn := 0; ; turn++ {
				number := turn*r.plan.workers + worker
				if number >= len(sequences) {
					return
				}
				if err := r.sequence(ctx, sequences[number], number, worker, turn); err != nil {
					errs <- fmt.Errorf("%s: %w", sequences[number].Name, err)
					return
				}
			}
		})
	}
	workers.Wait()
	close(errs)
	return <-errs
}

// sequence replays one sequence. It ends early when the servers hold different
// objects, once the first difference is reported.
func (r *replay) sequence(ctx context.Context, s Sequence, number, worker, turn int) error {
	given := r.plan.named(worker, turn)
	given["name"] = fmt.Sprintf("s%d", number)
	sessions := [2]*session{}
	for i, t := range []*target{r.upstream, r.portolan} {
		sessions[i] = &session{
			target: t, mask: newMask(r.plan, r.portolan.core), given: given,
			last: map[string]map[string]any{}, shown: map[string]any{}, written: map[string]string{}, made: map[string]bool{},
		}
	}
	for _, step := range s.Steps {
		var answers [2]answer
		var skipped bool
		var raws [2]*raw
		before := sessions[1].shown[objectPath(fill(step.Path, given))]
		for i, session := range sessions {
			answer, raw, err := session.do(ctx, step)
			if err != nil {
				return err
			}
			if raw == nil {
				skipped = true
				break
			}
			answers[i], raws[i] = answer, raw
		}
		if skipped {
			continue
		}
		e := exchange{sequence: s.Name, step: step, before: before, theirs: answers[0], ours: answers[1]}
		same := r.report.compare(&e)
		if same || step.isDry() || !raws[0].successful() && !raws[1].successful() {
			continue
		}
		break
	}
	for _, session := range sessions {
		if err := session.cleanUp(ctx); err != nil {
			return err
		}
	}
	r.report.ended()
	return nil
}
