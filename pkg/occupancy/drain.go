package occupancy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/claims"
)

// maxRanges is how many ranges an error names.
const maxRanges = 10

// Drain disables a range and waits until no Service holds a value of it.
type Drain struct {
	Client versioned.Interface
	Kind   Kind
	Name   string
	// DryRun shows what would be done.
	DryRun bool
	Out    io.Writer
}

// holder is a Service with the values that it holds of a range.
type holder struct {
	namespace, name string
	values          []string
}

// holdings is who holds the values of a range.
type holdings struct {
	services []holder
	// values counts those that Services hold, reserved the others.
	values, reserved int
}

// names names some of the Services.
func (h holdings) names() string {
	var names []string
	for _, service := range h.services {
		names = append(names, service.namespace+"/"+service.name)
	}
	return some(names, maxNames)
}

// Run prints who holds values, disables the range and waits. If it is interrupted, the range
// stays disabled.
func (d Drain) Run(ctx context.Context) error {
	objs, err := Read(ctx, d.Client, d.Kind)
	if err != nil {
		return err
	}
	obj, err := find(objs, d.Kind, d.Name)
	if err != nil {
		return err
	}
	if err := d.writePlan(objs, obj); err != nil || d.DryRun {
		return err
	}
	if err := d.disable(ctx, obj); err != nil {
		return err
	}
	var left holdings
	total, shown := 0, -1
	err = Follow(ctx, d.Client, func(objs Objects) error {
		obj, err := find(objs, d.Kind, d.Name)
		if err != nil {
			return fmt.Errorf("%s was deleted while the command waited: %w", d.Name, err)
		}
		if !isDisabled(obj) {
			return fmt.Errorf("%s is no longer disabled: its allocation was changed while the command waited", d.Name)
		}
		left = holdingsOf(obj, objs.Claims)
		count := len(left.services)
		total = max(total, count)
		if count == 0 {
			_, err := fmt.Fprintf(d.Out, "%s is drained: no Service holds a value of it.\n", d.Name)
			return cmp.Or(err, ErrDone)
		}
		if count == shown {
			return nil
		}
		shown = count
		_, err = fmt.Fprintf(d.Out, "%s %d of %d Services are done; left: %s\n",
			bar(barWidth*(total-count)/total), total-count, total, left.names())
		return err
	}, d.Kind)
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %s stays disabled. Services that hold values of it: %d. Run the command again to wait for them",
			d.Name, len(left.services))
	}
	return err
}

// find returns the range of a name.
func find(objs Objects, kind Kind, name string) (runtime.Object, error) {
	i := slices.IndexFunc(objs.Ranges, func(obj runtime.Object) bool {
		object, err := meta.Accessor(obj)
		return err == nil && object.GetName() == name
	})
	if i < 0 {
		return nil, fmt.Errorf("%w; there are: %s", apierrors.NewNotFound(v1.Resource(kind.Ranges), name),
			cmp.Or(some(namesOf(objs.Ranges), maxRanges), "none"))
	}
	return objs.Ranges[i], nil
}

func (d Drain) writePlan(objs Objects, obj runtime.Object) error {
	held := holdingsOf(obj, objs.Claims)
	var text strings.Builder
	fmt.Fprintf(&text, "%s/%s: values held by Services: %d; reserved: %d\n", strings.ToLower(d.Kind.Name), d.Name, held.values, held.reserved)
	if len(held.services) > 0 {
		table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
		fmt.Fprintln(table, "NAMESPACE\tSERVICE\tVALUES")
		for _, h := range held.services {
			fmt.Fprintf(table, "%s\t%s\t%s\n", h.namespace, h.name, strings.Join(h.values, ","))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	for _, other := range stillGiving(objs, obj) {
		fmt.Fprintf(&text, "Warning: %s has values of this range too, and gives them to new Services. Disable it as well.\n", other)
	}
	if d.DryRun {
		text.WriteString("Nothing was changed.\n")
	}
	_, err := io.WriteString(d.Out, text.String())
	return err
}

// holdingsOf returns who holds the values of a range, by namespace and name.
func holdingsOf(obj runtime.Object, claimed []runtime.Object) holdings {
	all := byClass(claimed)
	var held holdings
	values := map[types.NamespacedName][]string{}
	for class, r := range claims.RangesOf(obj) {
		for _, block := range r.Blocks {
			for _, c := range within(all[class], block.Span) {
				if !c.held() {
					held.reserved++
					continue
				}
				held.values++
				for _, holder := range c.holders {
					service := types.NamespacedName{Namespace: holder.Namespace, Name: holder.Name}
					values[service] = append(values[service], c.text)
				}
			}
		}
	}
	for service, texts := range values {
		slices.Sort(texts)
		held.services = append(held.services, holder{service.Namespace, service.Name, texts})
	}
	slices.SortFunc(held.services, func(a, b holder) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	return held
}

// stillGiving returns the other ranges from which Services get values of a range, even if
// it is disabled.
func stillGiving(objs Objects, obj runtime.Object) []string {
	mine := claims.RangesOf(obj)
	var names []string
	for _, other := range objs.Ranges {
		for class, o := range claims.RangesOf(other) {
			m, ok := mine[class]
			// Values of a range with a selector are for it alone.
			if ok && o.Name != m.Name && o.Mode != allocation.Disabled && o.Usable && o.Overlaps(m) && (o.IsOwned() || !m.IsOwned()) &&
				!slices.Contains(names, o.Name) {
				names = append(names, o.Name)
			}
		}
	}
	return names
}

// disable sets spec.allocation of a range to Disabled, and says how to undo it.
func (d Drain) disable(ctx context.Context, obj runtime.Object) error {
	if isDisabled(obj) {
		_, err := fmt.Fprintf(d.Out, "%s is disabled already: no Service gets a value of it.\n", d.Name)
		return err
	}
	before, disabled := fieldsOf(obj).allocation, v1.AllocationDisabled
	if err := d.patch(ctx, patchOf(&disabled)); err != nil {
		return err
	}
	undo := fmt.Sprintf("kubectl patch %s.%s %s --type=merge -p '%s'", d.Kind.Ranges, v1.GroupName, d.Name, patchOf(before))
	_, err := fmt.Fprintf(d.Out, "%s is disabled: no Service gets a value of it. To undo this:\n  %s\n", d.Name, undo)
	return err
}

func isDisabled(obj runtime.Object) bool {
	set := fieldsOf(obj).allocation
	return set != nil && *set == v1.AllocationDisabled
}

// patchOf returns a merge patch that sets spec.allocation, or removes it.
func patchOf(value *v1.RangeAllocation) []byte {
	// A map of texts and nil can always be encoded.
	patch, _ := json.Marshal(map[string]any{"spec": map[string]any{"allocation": value}})
	return patch
}

func (d Drain) patch(ctx context.Context, patch []byte) error {
	return d.Client.PortolanV1().RESTClient().Patch(types.MergePatchType).Resource(d.Kind.Ranges).Name(d.Name).
		Param("fieldManager", "portolan-drain").Body(patch).Do(ctx).Error()
}
