package namespaces

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// remainder describes the remaining contents of a namespace that is being deleted.
type remainder struct {
	// objects counts the objects by resource. finalizers counts the objects by
	// finalizer.
	objects, finalizers map[string]int
	errors              []string
}

func (r remainder) isEmpty() bool { return len(r.objects) == 0 && len(r.errors) == 0 }

// setConditions sets the conditions, with upstream's order and texts, and reports
// whether any changed.
func (r remainder) setConditions(status *corev1.NamespaceStatus) (changed bool) {
	for _, condition := range r.conditions() {
		condition.LastTransitionTime = metav1.Now()
		i := slices.IndexFunc(status.Conditions, func(old corev1.NamespaceCondition) bool { return old.Type == condition.Type })
		if i < 0 {
			status.Conditions = append(status.Conditions, condition)
			changed = true
			continue
		}
		old := &status.Conditions[i]
		if old.Status == condition.Status {
			condition.LastTransitionTime = old.LastTransitionTime
		}
		changed = changed || *old != condition
		*old = condition
	}
	return changed
}

func (r remainder) conditions() []corev1.NamespaceCondition {
	return []corev1.NamespaceCondition{
		condition(corev1.NamespaceDeletionDiscoveryFailure, "ResourcesDiscovered", "All resources successfully discovered", "", ""),
		condition(corev1.NamespaceDeletionGVParsingFailure, "ParsedGroupVersions", "All legacy kube types successfully parsed", "", ""),
		condition(corev1.NamespaceDeletionContentFailure, "ContentDeleted", "All content successfully deleted, may be waiting on finalization",
			"ContentDeletionFailed", problem(fmt.Sprintf("Failed to delete all resource types, %d remaining: ", len(r.errors)), r.errors)),
		condition(corev1.NamespaceContentRemaining, "ContentRemoved", "All content successfully removed",
			"SomeResourcesRemain", problem("Some resources are remaining: ", counts(r.objects, "%s has %d resource instances"))),
		condition(corev1.NamespaceFinalizersRemaining, "ContentHasNoFinalizers", "All content-preserving finalizers finished",
			"SomeFinalizersRemain", problem("Some content in the namespace has finalizers remaining: ",
				counts(r.finalizers, "%s in %d resource instances"))),
	}
}

// condition returns a condition that is true if there is a problem.
func condition(kind corev1.NamespaceConditionType, reason, message, problemReason, problem string) corev1.NamespaceCondition {
	if problem == "" {
		return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message}
	}
	return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionTrue, Reason: problemReason, Message: problem}
}

// problem returns the message of a problem, or "" if it has no parts.
func problem(summary string, parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return summary + strings.Join(parts, ", ")
}

func counts(numbers map[string]int, format string) []string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		parts = append(parts, fmt.Sprintf(format, name, numbers[name]))
	}
	return parts
}
