package registrytest

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/registry/pod"
)

func ended(name, reason string, code int32) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code}},
	}
}

func running(name string, ready bool, restarts int32) corev1.ContainerStatus {
	status := corev1.ContainerStatus{
		Name: name, Ready: ready, Started: ptr.To(true), RestartCount: restarts, State: corev1.ContainerState{
			Running: &corev1.ContainerStateRunning{},
		},
	}
	if restarts > 0 {
		status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(time.Now().Add(-3 * time.Hour))}
	}
	return status
}

// TestPodTable checks the cells Ready, Status and Restarts.
func TestPodTable(t *testing.T) {
	two := corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}, {Name: "b"}}}
	sidecar := corev1.PodSpec{
		Containers:     []corev1.Container{{Name: "a"}},
		InitContainers: []corev1.Container{{Name: "i"}, {Name: "s", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}},
	}
	readyNow := []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	for name, test := range map[string]struct {
		pod  corev1.Pod
		want string
	}{
		"nothing known": {corev1.Pod{Spec: two, Status: corev1.PodStatus{Phase: corev1.PodPending}}, "0/2 Pending 0"},
		"a reason":      {corev1.Pod{Spec: two, Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}}, "0/2 Evicted 0"},
		"one of two": {corev1.Pod{Spec: two, Status: corev1.PodStatus{Phase: corev1.PodRunning,
			ContainerStatuses: []corev1.ContainerStatus{running("a", true, 1), running("b", false, 0)}}}, "1/2 Running 1 (3h ago)"},
		"one is done": {corev1.Pod{Spec: two, Status: corev1.PodStatus{Phase: corev1.PodRunning,
			ContainerStatuses: []corev1.ContainerStatus{ended("a", "Completed", 0), running("b", true, 0)}}}, "1/2 NotReady 0"},
		"one is done, the Pod is ready": {corev1.Pod{Spec: two, Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: readyNow,
			ContainerStatuses: []corev1.ContainerStatus{ended("a", "Completed", 0), running("b", true, 0)}}}, "1/2 Running 0"},
		"ended without a reason": {corev1.Pod{Spec: two, Status: corev1.PodStatus{Phase: corev1.PodFailed,
			ContainerStatuses: []corev1.ContainerStatus{ended("a", "", 3)}}}, "0/2 ExitCode:3 0"},
		"still beginning": {corev1.Pod{Spec: sidecar, Status: corev1.PodStatus{Phase: corev1.PodPending,
			InitContainerStatuses: []corev1.ContainerStatus{running("i", false, 0)}}}, "0/2 Init:0/2 0"},
		"could not begin": {corev1.Pod{Spec: sidecar, Status: corev1.PodStatus{Phase: corev1.PodPending,
			InitContainerStatuses: []corev1.ContainerStatus{ended("i", "Error", 1)}}}, "0/2 Init:Error 0"},
		"a sidecar": {corev1.Pod{Spec: sidecar, Status: corev1.PodStatus{Phase: corev1.PodRunning,
			InitContainerStatuses: []corev1.ContainerStatus{ended("i", "Completed", 0), running("s", true, 2)},
			ContainerStatuses:     []corev1.ContainerStatus{running("a", true, 0)}}}, "2/2 Running 2 (3h ago)"},
		"going": {corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{}}, Spec: two,
			Status: corev1.PodStatus{Phase: corev1.PodRunning}}, "0/2 Terminating 0"},
	} {
		cells := cellsOf(t, pod.TableConvertor, &test.pod)
		if got := fmt.Sprintf("%s %s %s", cells[1:4]...); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}
