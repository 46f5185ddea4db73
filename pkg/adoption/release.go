package adoption

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service"
)

const (
	// manager is the field manager of the command's writes.
	manager = "portolan-release"
	// pollInterval is how often a condition is looked at that others bring about.
	pollInterval = 200 * time.Millisecond
	// patience is how long the command waits before it says what it waits for.
	patience = 10 * time.Second
)

var errAgain = errors.New("it has changed since the plan was made")

// Release carries out a plan and writes a line for each Service that is done. It ends with
// the first error. The plan of a second run has the remaining steps.
func Release(ctx context.Context, sides Sides, plan ReleasePlan, out io.Writer) error {
	for i, step := range plan.steps {
		if err := (releasing{sides, step, out}).run(ctx); err != nil {
			return fmt.Errorf("%s: %w (%d of %d are done; run the command again for the others)", step, err, i, len(plan.steps))
		}
		if _, err := fmt.Fprintf(out, "released %s (%d of %d)\n", step, i+1, len(plan.steps)); err != nil {
			return err
		}
	}
	return nil
}

// releasing is one step that is being carried out.
type releasing struct {
	Sides
	releaseStep
	out io.Writer
}

func (r releasing) run(ctx context.Context) error {
	ours, err := r.Portolan.PortolanV1().Services(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if ours.UID != r.uid {
		return errAgain
	}
	source, err := r.create(ctx, ours)
	if err != nil {
		return fmt.Errorf("creating it at the cluster: %w", err)
	}
	if !v1.IsMirrored(ours) {
		if err := r.moveEndpoints(ctx, ours, source); err != nil {
			return fmt.Errorf("its endpoints: %w", err)
		}
		// The version makes sure that the cluster's Service is as this one.
		patch := fmt.Appendf(nil, `{"metadata":{"resourceVersion":%q,"annotations":{%q:%q}}}`, ours.ResourceVersion,
			v1.AnnotationReleasedTo, source.UID)
		_, err := r.Portolan.PortolanV1().Services(r.Namespace).Patch(ctx, r.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if apierrors.IsConflict(err) {
			return errAgain
		}
		if err != nil {
			return fmt.Errorf("releasing Portolan's: %w", err)
		}
	}
	if err := r.await(ctx, "the mirror to copy it (does it run?)", func(ctx context.Context) (bool, error) {
		return r.isCopied(ctx, source.UID)
	}); err != nil {
		return err
	}
	if source.Annotations[v1.AnnotationReleasedFrom] == "" {
		return nil
	}
	patch := fmt.Appendf(nil, `{"metadata":{"uid":%q,"annotations":{%q:null}}}`, source.UID, v1.AnnotationReleasedFrom)
	_, err = r.Cluster.CoreV1().Services(r.Namespace).
		Patch(ctx, r.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
	return err
}

// create creates the Service at the cluster, unless it is there, and returns it.
func (r releasing) create(ctx context.Context, ours *v1.Service) (*corev1.Service, error) {
	services := r.Cluster.CoreV1().Services(r.Namespace)
	wanted := sourceOf(ours)
	if r.begun {
		source, err := services.Get(ctx, r.Name, metav1.GetOptions{})
		if err != nil || source.UID == ours.UID {
			return source, err
		}
		if v1.IsMirrored(ours) || source.Annotations[v1.AnnotationReleasedFrom] != string(ours.UID) {
			return nil, errAgain
		}
		// An earlier run has created it. Portolan's may have changed since.
		if equality.Semantic.DeepEqual(source.Spec, wanted.Spec) && equality.Semantic.DeepEqual(source.Labels, wanted.Labels) &&
			equality.Semantic.DeepEqual(source.Annotations, wanted.Annotations) {
			return r.complete(ctx, ours, source)
		}
		err = services.Delete(ctx, r.Name, *metav1.NewPreconditionDeleteOptions(string(source.UID)))
		if err != nil && !isGone(err) {
			return nil, err
		}
	}
	created, err := services.Create(ctx, wanted, metav1.CreateOptions{FieldManager: manager})
	if err != nil {
		return nil, err
	}
	return r.complete(ctx, ours, created)
}

// sourceOf returns the Service that takes the place of Portolan's at the cluster.
func sourceOf(ours *v1.Service) *corev1.Service {
	annotations := maps.Clone(ours.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	for _, own := range []string{v1.AnnotationAdoptedFrom, v1.AnnotationReleasedTo} {
		delete(annotations, own)
	}
	annotations[v1.AnnotationReleasedFrom] = string(ours.UID)
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: ours.Name, Namespace: ours.Namespace, Labels: ours.Labels, Annotations: annotations, Finalizers: ours.Finalizers,
			OwnerReferences: ours.OwnerReferences,
		},
		Spec: *ours.Spec.DeepCopy(),
	}
}

// complete gives the cluster's Service the status and the managed fields of Portolan's. A
// status takes a write of its own, and only the write after it keeps managed fields.
func (r releasing) complete(ctx context.Context, ours *v1.Service, source *corev1.Service) (*corev1.Service, error) {
	services := r.Cluster.CoreV1().Services(r.Namespace)
	current := source
	err := retry.RetryOnConflict(retry.DefaultRetry, func() (err error) {
		status := ours.Status.DeepCopy()
		service.LeaveLoadBalancer(status)
		if !equality.Semantic.DeepEqual(current.Status, *status) {
			current.Status = *status
			if current, err = services.UpdateStatus(ctx, current, metav1.UpdateOptions{FieldManager: manager}); err != nil {
				current = source
				return again(ctx, services.Get, r.Name, &current, err)
			}
		}
		current.ManagedFields = managedFieldsOf(ours)
		updated, err := services.Update(ctx, current, metav1.UpdateOptions{FieldManager: manager})
		if err != nil {
			return again(ctx, services.Get, r.Name, &current, err)
		}
		current = updated
		return nil
	})
	return current, err
}

// again reads a Service after a write that failed, and returns the error of the write.
func again(ctx context.Context, get func(context.Context, string, metav1.GetOptions) (*corev1.Service, error), name string,
	into **corev1.Service, failure error) error {
	found, err := get(ctx, name, metav1.GetOptions{})
	if err == nil {
		*into = found
	}
	return failure
}

// managedFieldsOf returns the managed fields of a Service as a cluster knows them.
func managedFieldsOf(ours *v1.Service) []metav1.ManagedFieldsEntry {
	entries := make([]metav1.ManagedFieldsEntry, len(ours.ManagedFields))
	for i := range entries {
		ours.ManagedFields[i].DeepCopyInto(&entries[i])
		// The fields of the kind are the same in both groups.
		if entries[i].APIVersion == v1.SchemeGroupVersion.String() {
			entries[i].APIVersion = corev1.SchemeGroupVersion.String()
		}
	}
	return entries
}

// isCopied reports whether Portolan has the copy of the cluster's Service, and of all its
// endpoints.
func (r releasing) isCopied(ctx context.Context, uid types.UID) (bool, error) {
	ours, err := r.Portolan.PortolanV1().Services(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	if !v1.IsMirrored(ours) || ours.UID != uid {
		return false, nil
	}
	return r.endpointsCopied(ctx)
}

// await waits for what others bring about. It says what it waits for if that takes long.
func (r releasing) await(ctx context.Context, what string, holds wait.ConditionWithContextFunc) error {
	began, told := time.Now(), false
	return wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		done, err := holds(ctx)
		if done || err != nil || told || time.Since(began) < patience {
			return done, err
		}
		told = true
		_, err = fmt.Fprintf(r.out, "waiting for %s, for %s\n", what, r)
		return false, err
	})
}
