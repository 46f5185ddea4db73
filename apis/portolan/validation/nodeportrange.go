package validation

import (
	"cmp"
	"fmt"
	"slices"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// ValidateNodePortRangeCreate validates a NodePortRange that a client creates. Upstream
// has no such kind.
func ValidateNodePortRangeCreate(ports *v1.NodePortRange) field.ErrorList {
	errs := ValidateObjectMeta(&ports.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	return Bounded(append(errs, validateNodePortRangeSpec(&ports.Spec)...))
}

// ValidateNodePortRangeUpdate validates an update of a NodePortRange. Everything in the
// spec can change. The transaction of the write rejects the removal of claimed ports,
// because it sees the claims.
func ValidateNodePortRangeUpdate(ports, old *v1.NodePortRange) field.ErrorList {
	errs := ValidateObjectMetaUpdate(&ports.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return Bounded(append(errs, validateNodePortRangeSpec(&ports.Spec)...))
}

// ValidateNodePortRangeStatusUpdate validates an update of the status.
func ValidateNodePortRangeStatusUpdate(ports, old *v1.NodePortRange) field.ErrorList {
	errs := ValidateObjectMetaUpdate(&ports.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return Bounded(append(errs, validateConditionsUpdate(ports.Status.Conditions, old.Status.Conditions, statusPath.Child("conditions"))...))
}

type portRun struct {
	index       int
	first, last int32
}

func validateNodePortRangeSpec(spec *v1.NodePortRangeSpec) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec", "ports")
	if len(spec.Ports) == 0 {
		errs = append(errs, field.Required(path, "at least one port or range of ports is required"))
	}
	var runs []portRun
	for i, entry := range spec.Ports {
		first, last, err := v1.ParsePortRange(entry)
		if err != nil {
			errs = append(errs, field.Invalid(path.Index(i), entry, err.Error()))
			continue
		}
		runs = append(runs, portRun{i, first, last})
	}
	errs = append(errs, validateNoOverlap(path, spec.Ports, runs)...)
	if band := spec.StaticBand; band != nil {
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(*band), field.NewPath("spec", "staticBand"))...)
	}
	errs = append(errs, validateRangePolicy(portPolicy(spec))...)
	return append(errs, validateAutoAssign(spec)...)
}

// validateNoOverlap compares neighbors in sorted order. With an entry for every port,
// that costs no more than the sorting.
func validateNoOverlap(path *field.Path, entries []string, runs []portRun) field.ErrorList {
	slices.SortStableFunc(runs, func(a, b portRun) int { return cmp.Compare(a.first, b.first) })
	var errs field.ErrorList
	var reach portRun
	for _, run := range runs {
		if run.first <= reach.last {
			later, earlier := max(run.index, reach.index), min(run.index, reach.index)
			if run.first == reach.first && run.last == reach.last {
				errs = append(errs, field.Duplicate(path.Index(later), entries[later]))
			} else {
				errs = append(errs, field.Invalid(path.Index(later), entries[later], fmt.Sprintf("must not overlap %q", entries[earlier])))
			}
		}
		if run.last > reach.last {
			reach = run
		}
	}
	return errs
}
