package namespaces

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// leftover is what is left of a namespace that is being deleted.
type leftover struct {
	// objects are counted by resource, and finalizers in how many of them they are.
	objects, finalizers map[string]int
	errors              []string
}

func (l leftover) nothing() bool { return len(l.objects) == 0 && len(l.errors) == 0 }

// setConditions sets the conditions, in upstream's order and words, and says
// whether that changed any.
func (l leftover) setConditions(status *corev1.NamespaceStatus) (changed bool) {
	for _, condition := range l.conditions() {
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

func (l leftover) conditions() []corev1.NamespaceCondition {
	return []corev1.NamespaceCondition{
		condition(corev1.NamespaceDeletionDiscoveryFailure, "ResourcesDiscovered", "All resources successfully discovered", "", ""),
		condition(corev1.NamespaceDeletionGVParsingFailure, "ParsedGroupVersions", "All legacy kube types successfully parsed", "", ""),
		condition(corev1.NamespaceDeletionContentFailure, "ContentDeleted", "All content successfully deleted, may be waiting on finalization",
			"ContentDeletionFailed", told(fmt.Sprintf("Failed to delete all resource types, %d remaining: ", len(l.errors)), l.errors)),
		condition(corev1.NamespaceContentRemaining, "ContentRemoved", "All content successfully removed",
			"SomeResourcesRemain", told("Some resources are remaining: ", counts(l.objects, "%s has %d resource instances"))),
		condition(corev1.NamespaceFinalizersRemaining, "ContentHasNoFinalizers", "All content-preserving finalizers finished",
			"SomeFinalizersRemain", told("Some content in the namespace has finalizers remaining: ",
				counts(l.finalizers, "%s in %d resource instances"))),
	}
}

// condition is false unless there is something wrong to tell.
func condition(kind corev1.NamespaceConditionType, reason, message, wrong, told string) corev1.NamespaceCondition {
	if told == "" {
		return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message}
	}
	return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionTrue, Reason: wrong, Message: told}
}

func told(what string, parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return what + strings.Join(parts, ", ")
}

func counts(numbers map[string]int, format string) []string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		parts = append(parts, fmt.Sprintf(format, name, numbers[name]))
	}
	return parts
}
