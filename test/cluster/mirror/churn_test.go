//go:build e2e

package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/test/framework"
)

// slotState is the Service in one slot, or none.
type slotState struct {
	name string
	// generation counts the Services that the slot has had.
	generation int
}

// churnCluster creates the Services of a writer at the cluster, and then deletes, replaces
// and changes them until it is stopped. The address of a slot passes from one name to the
// next.
func (l *load) churnCluster(writer int, stop <-chan struct{}) {
	services := l.cluster.CoreV1().Services("churn")
	churn(l, writer, clusterSlots/writers, stop, func(ctx context.Context, slot int, s *slotState, step int) error {
		number := writer*clusterSlots/writers + slot
		switch {
		case s.name == "":
			name := fmt.Sprintf("c%d-%d", number, s.generation%2)
			_, err := services.Create(ctx, clusterService(name, 20, number), metav1.CreateOptions{})
			if err == nil {
				s.name = name
			}
			return err
		case step%3 == 0:
			err := services.Delete(ctx, s.name, metav1.DeleteOptions{})
			if err == nil {
				s.name, s.generation = "", s.generation+1
			}
			return err
		}
		return relabel(ctx, l.cluster, s.name, step)
	}, func([]slotState) {})
}

// churnOwn does the same with Services of Portolan's own, through all replicas. A write that
// a killed replica did not answer is made again.
func (l *load) churnOwn(writer int, stop <-chan struct{}) {
	churn(l, writer, ownSlots/writers, stop, func(ctx context.Context, slot int, s *slotState, step int) error {
		number := writer*ownSlots/writers + slot
		for attempt := step; ctx.Err() == nil; attempt++ {
			err := l.writeOwn(ctx, l.client(attempt), number, s, step)
			if isAnswer(err) {
				return err
			}
			time.Sleep(50 * time.Millisecond)
		}
		return ctx.Err()
	}, func(states []slotState) {
		for slot := range states {
			l.own[states[slot].name] = true
		}
	})
}

func (l *load) writeOwn(ctx context.Context, client *kubernetes.Clientset, number int, s *slotState, step int) error {
	services := client.CoreV1().Services("churn")
	switch {
	case s.name == "":
		name := fmt.Sprintf("o%d-%d", number, s.generation%2)
		service := newService(name, func(s *corev1.Service) {
			s.Spec.Selector = nil
			if number%4 == 0 {
				s.Spec.Type = corev1.ServiceTypeNodePort
			}
		})
		_, err := services.Create(ctx, service, metav1.CreateOptions{})
		if err == nil || apierrors.IsAlreadyExists(err) {
			s.name = name
			return nil
		}
		return err
	case step%3 == 0:
		err := services.Delete(ctx, s.name, metav1.DeleteOptions{})
		if err == nil || apierrors.IsNotFound(err) {
			s.name, s.generation = "", s.generation+1
			return nil
		}
		return err
	}
	return relabel(ctx, client, s.name, step)
}

func relabel(ctx context.Context, client kubernetes.Interface, name string, step int) error {
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"step":"%d"}}}`, step)
	_, err := client.CoreV1().Services("churn").Patch(ctx, name, "application/merge-patch+json", patch, metav1.PatchOptions{})
	return err
}

// isAnswer reports whether a server has answered a write: it has not when it was killed,
// or when it has just started.
func isAnswer(err error) bool {
	var status apierrors.APIStatus
	if err == nil || !errors.As(err, &status) {
		return err == nil
	}
	code := status.Status().Code
	return code < 500 && code != 429 && code != 401 && code != 403
}

// churn runs write for each of a writer's slots, first in turn and then at random. An error
// fails the test. After the last write, done gets the state of all slots.
func churn(l *load, writer, slots int, stop <-chan struct{}, write func(ctx context.Context, slot int, s *slotState, step int) error,
	done func([]slotState)) {
	ctx, random := l.t.Context(), framework.Random(1, writer)
	states := make([]slotState, slots)
	for step := 0; ; step++ {
		slot := step
		if step >= slots {
			slot = random.IntN(slots)
		}
		if step == slots {
			l.filled.Done()
		}
		select {
		case <-stop:
			l.mu.Lock()
			defer l.mu.Unlock()
			l.steps += step
			done(states)
			return
		default:
		}
		if err := write(ctx, slot, &states[slot], step); err != nil {
			l.t.Errorf("%d, slot %d in step %d: %v", writer, slot, step, err)
			if step < slots {
				l.filled.Done()
			}
			return
		}
	}
}
