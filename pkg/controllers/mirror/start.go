package mirror

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// rightsRetry is how long the mirror waits before it asks the cluster again.
const rightsRetry = 5 * time.Second

// awaitRights waits until the cluster lets the mirror read what it copies. It logs what is
// missing. It reports false if the context has ended.
func (m *Mirror) awaitRights(ctx context.Context) bool {
	logged := ""
	err := wait.PollUntilContextCancel(ctx, rightsRetry, true, func(ctx context.Context) (bool, error) {
		err := m.read(ctx)
		if err == nil {
			return true, nil
		}
		if apierrors.IsForbidden(err) {
			err = fmt.Errorf("%w: give the server's user the rights of artifacts/cluster/mirror", err)
		}
		if ctx.Err() == nil && err.Error() != logged {
			logged = err.Error()
			klog.FromContext(ctx).Error(err, "The cluster's Services can't be mirrored", "cluster", m.address)
		}
		return false, nil
	})
	return err == nil
}

// read reads an object of each resource that the mirror copies.
func (m *Mirror) read(ctx context.Context) error {
	one := metav1.ListOptions{Limit: 1}
	if _, err := m.Cluster.CoreV1().Services("").List(ctx, one); err != nil {
		return err
	}
	if _, err := m.Cluster.CoreV1().Endpoints("").List(ctx, one); err != nil {
		return err
	}
	_, err := m.Cluster.DiscoveryV1().EndpointSlices("").List(ctx, one)
	return err
}

// isCluster reports whether the source is a cluster and not a Portolan, whose copies it
// would copy.
func (m *Mirror) isCluster(ctx context.Context) bool {
	for _, obj := range m.kinds[services].source.GetStore().List() {
		if v1.IsMirrored(obj.(metav1.Object)) {
			klog.FromContext(ctx).Error(nil, "The cluster's Services can't be mirrored: the address is that of a Portolan. "+
				"Use a kubeconfig of the cluster's own API server", "cluster", m.address)
			<-ctx.Done()
			return false
		}
	}
	return true
}
