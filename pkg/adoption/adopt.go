package adoption

import (
	"context"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

var errNotACluster = errors.New(
	"this is a gateway: --kubeconfig must lead to the cluster's own API server, and --portolan-kubeconfig to the gateway")

// Adopt carries out a plan and writes a line for each Service that is done. It ends with the
// first error. The plan of a second run has the remaining steps.
func Adopt(ctx context.Context, sides Sides, plan Plan, out io.Writer) error {
	for i, step := range plan.Steps {
		if err := sides.adopt(ctx, step); err != nil {
			return fmt.Errorf("%s: %w (%d of %d are done; run the command again for the others)", step.name(), err, i, len(plan.Steps))
		}
		if _, err := fmt.Fprintf(out, "adopted %s (%d of %d)\n", step.name(), i+1, len(plan.Steps)); err != nil {
			return err
		}
	}
	return nil
}

func (s Sides) adopt(ctx context.Context, step Step) error {
	if step.Adopt {
		adopted := &v1.Service{}
		err := s.Portolan.PortolanV1().RESTClient().Post().Namespace(step.Namespace).Resource("services").Name(step.Name).
			SubResource("adopt").Do(ctx).Into(adopted)
		if err != nil {
			return fmt.Errorf("making it Portolan's own: %w", err)
		}
		if adopted.UID != step.UID {
			return errors.New("it was created again since the plan was made")
		}
	}
	services := s.Cluster.CoreV1().Services(step.Namespace)
	if step.Finalizers {
		patch := fmt.Appendf(nil, `{"metadata":{"uid":%q,"finalizers":null}}`, step.UID)
		if _, err := services.Patch(ctx, step.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil && !isGone(err) {
			return fmt.Errorf("removing the finalizers of the cluster's Service: %w", err)
		}
	}
	err := services.Delete(ctx, step.Name, *metav1.NewPreconditionDeleteOptions(string(step.UID)))
	if err != nil && !isGone(err) {
		return fmt.Errorf("deleting the cluster's Service: %w", err)
	}
	return nil
}

// isGone reports whether a Service with the UID is not there any more.
func isGone(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsConflict(err) }
