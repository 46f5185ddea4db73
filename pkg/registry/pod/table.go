package pod

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	specDocs   = corev1.PodSpec{}.SwaggerDoc()
	statusDocs = corev1.PodStatus{}.SwaggerDoc()
)

// TableConvertor has the columns of upstream's Pod table
// (pkg/printers/internalversion).
var TableConvertor = generic.NewTable(corev1.Resource("pods"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Ready", Type: "string", Description: "The aggregate readiness state of this pod for accepting traffic."},
	{Name: "Status", Type: "string", Description: "The aggregate status of the containers in this pod."},
	{Name: "Restarts", Type: "string",
		Description: "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."},
	generic.AgeColumn(),
	{Name: "IP", Type: "string", Priority: 1, Description: statusDocs["podIP"]},
	{Name: "Node", Type: "string", Priority: 1, Description: specDocs["nodeName"]},
	{Name: "Nominated Node", Type: "string", Priority: 1, Description: statusDocs["nominatedNodeName"]},
	{Name: "Readiness Gates", Type: "string", Priority: 1, Description: specDocs["readinessGates"]},
}, func(pod *corev1.Pod) []any {
	s := summarize(pod)
	return []any{
		pod.Name, fmt.Sprintf("%d/%d", s.ready, s.total), s.reason, s.restarted(), generic.Age(pod.CreationTimestamp),
		cmp.Or(pod.Status.PodIP, generic.None), cmp.Or(pod.Spec.NodeName, generic.None),
		cmp.Or(pod.Status.NominatedNodeName, generic.None), gates(pod),
	}
})

// summary is the summary of a Pod's containers in its row, as in upstream's printPod.
type summary struct {
	ready, total, restarts int
	lastRestart            metav1.Time
	reason                 string
}

func (s *summary) restarted() string {
	if s.restarts == 0 || s.lastRestart.IsZero() {
		return strconv.Itoa(s.restarts)
	}
	return fmt.Sprintf("%d (%s ago)", s.restarts, generic.Age(s.lastRestart))
}

func (s *summary) count(status *corev1.ContainerStatus) {
	s.restarts += int(status.RestartCount)
	if last := status.LastTerminationState.Terminated; last != nil && s.lastRestart.Before(&last.FinishedAt) {
		s.lastRestart = last.FinishedAt
	}
}

func summarize(pod *corev1.Pod) summary {
	s := summary{reason: cmp.Or(pod.Status.Reason, string(pod.Status.Phase)), total: len(pod.Spec.Containers)}
	if scheduled := condition(pod, corev1.PodScheduled); scheduled != nil && scheduled.Reason == corev1.PodReasonSchedulingGated {
		s.reason = corev1.PodReasonSchedulingGated
	}
	sidecars := map[string]bool{}
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		if ptr.Deref(container.RestartPolicy, "") == corev1.ContainerRestartPolicyAlways {
			sidecars[container.Name] = true
			s.total++
		}
	}
	beside := summary{}
	if initializing := s.initialize(pod, sidecars, &beside); !initializing || isTrue(pod, corev1.PodInitialized) {
		// Restarts of finished init containers no longer count.
		s.restarts, s.lastRestart = beside.restarts, beside.lastRestart
		s.run(pod)
	}
	ended := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	switch {
	case pod.DeletionTimestamp == nil:
	case pod.Status.Reason == "NodeLost":
		s.reason = "Unknown"
	case !ended:
		s.reason = "Terminating"
	}
	return s
}

// initialize adds the init containers to the summary and reports whether one of them has
// not finished. It also counts the restarts of sidecars in beside.
func (s *summary) initialize(pod *corev1.Pod, sidecars map[string]bool, beside *summary) (initializing bool) {
	for i := range pod.Status.InitContainerStatuses {
		status := &pod.Status.InitContainerStatuses[i]
		s.count(status)
		if sidecars[status.Name] {
			beside.count(status)
		}
		ended, waiting := status.State.Terminated, status.State.Waiting
		switch {
		case ended != nil && ended.ExitCode == 0:
			continue
		case sidecars[status.Name] && ptr.Deref(status.Started, false):
			if status.Ready {
				s.ready++
			}
			continue
		case ended != nil:
			s.reason = "Init:" + endOf(ended)
		case waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing":
			s.reason = "Init:" + waiting.Reason
		default:
			s.reason = fmt.Sprintf("Init:%d/%d", i, len(pod.Spec.InitContainers))
		}
		return true
	}
	return false
}

// run adds the main containers to the summary.
func (s *summary) run(pod *corev1.Pod) {
	running, failed := false, ""
	for _, status := range slices.Backward(pod.Status.ContainerStatuses) {
		s.count(&status)
		ended, waiting := status.State.Terminated, status.State.Waiting
		switch {
		case waiting != nil && waiting.Reason != "":
			s.reason = waiting.Reason
		case ended != nil:
			s.reason = endOf(ended)
			if ended.ExitCode != 0 {
				failed = s.reason
			}
		case status.Ready && status.State.Running != nil:
			running = true
			s.ready++
		}
	}
	switch {
	case s.reason != "Completed":
	case running && isTrue(pod, corev1.PodReady):
		s.reason = "Running"
	case failed != "":
		s.reason = failed
	case running:
		s.reason = "NotReady"
	}
}

func endOf(ended *corev1.ContainerStateTerminated) string {
	switch {
	case ended.Reason != "":
		return ended.Reason
	case ended.Signal != 0:
		return fmt.Sprintf("Signal:%d", ended.Signal)
	default:
		return fmt.Sprintf("ExitCode:%d", ended.ExitCode)
	}
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &pod.Status.Conditions[i]
}

func isTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	found := condition(pod, kind)
	return found != nil && found.Status == corev1.ConditionTrue
}

func gates(pod *corev1.Pod) string {
	if len(pod.Spec.ReadinessGates) == 0 {
		return generic.None
	}
	open := 0
	for _, gate := range pod.Spec.ReadinessGates {
		if isTrue(pod, gate.ConditionType) {
			open++
		}
	}
	return fmt.Sprintf("%d/%d", open, len(pod.Spec.ReadinessGates))
}
