package occupancy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/flowcontrol"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
)

// Renumber moves what Services hold of one range to another, one Service after the other.
type Renumber struct {
	Client versioned.Interface
	// Kind is that of both ranges.
	Kind     Kind
	From, To string
	// Namespace and Selector select Services. Empty ones select all.
	Namespace string
	Selector  labels.Selector
	// DNS selects the Services of the cluster's DNS too.
	DNS bool
	// Rate is how many Services are moved in a second, at most.
	Rate float32
	// DryRun asks the server about each Service, and changes nothing.
	DryRun bool
	Out    io.Writer
}

// of names a range as the command line does.
func (k Kind) of(name string) string { return strings.ToLower(k.Name) + "/" + name }

// Run prints a plan and carries it out. It goes on if a single Service can't be moved, and ends
// with an error if the target is full or the server can't be asked. The plan of another run
// has the Services that are left.
func (r Renumber) Run(ctx context.Context) error {
	plan, err := r.plan(ctx)
	if err != nil {
		return err
	}
	if err := plan.write(r); err != nil {
		return err
	}
	run := renumberRun{Renumber: r, renumberPlan: plan}
	limiter := flowcontrol.NewTokenBucketRateLimiter(r.Rate, 1)
	for i, step := range plan.steps {
		err := limiter.Wait(ctx)
		if err == nil {
			err = run.move(ctx, i, step)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: %s; run the command again for the others", run.done(i))
		}
		if err != nil {
			return fmt.Errorf("%s: %w (%s; run the command again for the others)", step, err, run.done(i))
		}
	}
	return run.finish(ctx)
}

// renumberRun is a plan that is being carried out.
type renumberRun struct {
	Renumber
	renumberPlan
	moved, rejected int
}

func (r *renumberRun) done(steps int) string {
	return fmt.Sprintf("%d of %d Services are done", steps, len(r.steps))
}

// move moves one Service and reports what became of it.
func (r *renumberRun) move(ctx context.Context, index int, step renumberStep) error {
	options := metav1.CreateOptions{FieldManager: "portolan-renumber"}
	if r.DryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	result, err := r.Client.PortolanV1().Services(step.Namespace).Renumber(ctx, step.Name, &v1.Renumbering{Spec: v1.RenumberingSpec{
		Kind: r.Kind.Name, From: r.From, To: r.To, Preconditions: &metav1.Preconditions{UID: &step.uid},
	}}, options)
	var text string
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		text = "it was deleted meanwhile"
	case apierrors.IsInvalid(err):
		full, fullErr := r.isFull(ctx)
		if full || fullErr != nil {
			return cmp.Or(fullErr, fmt.Errorf("%s is full: %w", r.To, err))
		}
		r.rejected++
		text = "not moved: " + err.Error()
	case err != nil:
		return err
	case len(result.Status.Moves) == 0:
		text = "it holds none of the values anymore"
	default:
		r.moved++
		text = r.movesText(result.Status.Moves)
	}
	_, err = fmt.Fprintf(r.Out, "%s %d of %d: %s: %s\n", bar(barWidth*(index+1)/len(r.steps)), index+1, len(r.steps), step, text)
	return err
}

// movesText leaves out the values that a dry run picks: the move itself picks others.
func (r *renumberRun) movesText(moves []v1.ValueMove) string {
	var texts []string
	for _, m := range moves {
		to := m.To
		if r.DryRun {
			to = "a value of " + r.To
		}
		texts = append(texts, m.From+" -> "+to)
	}
	return strings.Join(texts, ", ")
}

// isFull reports whether the target has no free value of a family.
func (r *renumberRun) isFull(ctx context.Context) (bool, error) {
	target, err := r.Client.PortolanV1().RESTClient().Get().Resource(r.Kind.Ranges).Name(r.To).Do(ctx).Get()
	return slices.Contains(fieldsOf(target).free, 0), err
}

// finish says what was done, what is left, and how to undo it.
func (r *renumberRun) finish(ctx context.Context) error {
	if r.DryRun {
		_, err := fmt.Fprintln(r.Out, "Nothing was changed.")
		return cmp.Or(err, r.rejection())
	}
	objs, err := Read(ctx, r.Client, r.Kind)
	if err != nil {
		return err
	}
	from, err := find(objs, r.Kind, r.From)
	if err != nil {
		return err
	}
	held := holdingsOf(from, objs.Claims)
	fmt.Fprintf(r.Out, "Services moved: %d. %s: values held by Services: %d; reserved: %d\n",
		r.moved, r.Kind.of(r.From), held.values, held.reserved)
	if !isDisabled(from) && len(r.steps) > 0 {
		fmt.Fprintf(r.Out, "%s is not disabled: Services can still get values of it. \"portolan drain\" disables it.\n", r.From)
	}
	if r.moved > 0 && !r.overlap {
		fmt.Fprintf(r.Out, "To undo this, and move all Services there that hold values of %s:\n  portolan renumber --from=%s --to=%s%s\n",
			r.To, r.Kind.of(r.To), r.Kind.of(r.From), r.selection())
	}
	return r.rejection()
}

func (r *renumberRun) rejection() error {
	if r.rejected > 0 {
		return fmt.Errorf("%d of %d Services were not moved: the lines above say why", r.rejected, len(r.steps))
	}
	return nil
}

// selection returns the flags that select Services.
func (r Renumber) selection() string {
	var flags string
	if r.Namespace != "" {
		flags += " --namespace=" + r.Namespace
	}
	if !r.Selector.Empty() {
		flags += fmt.Sprintf(" --selector='%s'", r.Selector)
	}
	if r.DNS {
		flags += " --dns"
	}
	return flags
}

// renumberPlan is what a run does.
type renumberPlan struct {
	held  movableValues
	steps []renumberStep
	// skipped has the Services that hold values and stay, with the reason.
	skipped []string
	// warning is empty or about the whole plan.
	warning string
	// overlap is true if the ranges have values in common, which are not moved back.
	overlap bool
}

// renumberStep is the move of one Service.
type renumberStep struct {
	types.NamespacedName
	uid    types.UID
	values []string
	// static are those of the values that lie in the static band.
	static []string
}

func (r Renumber) plan(ctx context.Context) (renumberPlan, error) {
	objs, err := Read(ctx, r.Client, r.Kind)
	if err != nil {
		return renumberPlan{}, err
	}
	plan, err := r.newPlan(objs)
	if err != nil {
		return renumberPlan{}, err
	}
	list := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) {
		return r.Client.PortolanV1().Services(r.Namespace).List(ctx, options)
	}))
	err = list.EachListItem(ctx, metav1.ListOptions{LabelSelector: r.Selector.String()}, func(obj runtime.Object) error {
		svc, ok := obj.(*v1.Service)
		if !ok {
			return errors.New("the server lists Services that are none")
		}
		plan.add(r, svc)
		return nil
	})
	plan.warning = plan.held.shortage(objs, r, plan.steps)
	return plan, err
}

// newPlan returns a plan without Services.
func (r Renumber) newPlan(objs Objects) (renumberPlan, error) {
	from, err := find(objs, r.Kind, r.From)
	if err != nil {
		return renumberPlan{}, err
	}
	to, err := find(objs, r.Kind, r.To)
	if err != nil {
		return renumberPlan{}, err
	}
	return renumberPlan{held: movable(from, to, objs.Claims), overlap: overlap(from, to)}, nil
}

// add adds a Service, if it holds values that can move.
func (p *renumberPlan) add(r Renumber, svc *v1.Service) {
	step, holds := p.held.of[svc.UID]
	reason := r.staysBecause(svc)
	switch {
	case !holds:
	case reason != "":
		p.skipped = append(p.skipped, step.String()+": "+reason)
	default:
		p.steps = append(p.steps, step)
	}
}

// dnsLabel is the label of the Service of a cluster's DNS, which has the value kube-dns
// whatever server it is.
const dnsLabel, dnsApp = "k8s-app", "kube-dns"

// staysBecause returns why a Service is not moved, or "".
func (r Renumber) staysBecause(svc *v1.Service) string {
	cluster, mirrored := v1.MirroredFrom(svc)
	switch {
	case mirrored:
		return fmt.Sprintf("it is a copy of a Service of the cluster at %s, which keeps its cluster IP. "+
			"\"portolan adopt\" makes it Portolan's own", cluster)
	case v1.KeptByAPIServers(svc):
		return "the API servers keep its address, which Pods and certificates have"
	case svc.Labels[dnsLabel] == dnsApp && !r.DNS:
		return "nodes and Pods have its address in their configuration. Change that, and move it with --dns"
	}
	return ""
}

func (p renumberPlan) write(r Renumber) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s -> %s: Services to move: %d\n", r.Kind.of(r.From), r.Kind.of(r.To), len(p.steps))
	if len(p.steps) > 0 {
		table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
		fmt.Fprintln(table, "NAMESPACE\tSERVICE\tVALUES\tNOTE")
		for _, step := range p.steps {
			note := "-"
			if len(step.static) > 0 {
				note = "in the static band: " + strings.Join(step.static, ",")
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", step.Namespace, step.Name, strings.Join(step.values, ","), note)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	for _, skipped := range p.skipped {
		fmt.Fprintf(&text, "not moved: %s\n", skipped)
	}
	text.WriteString(p.warning)
	_, err := io.WriteString(r.Out, text.String())
	return err
}
