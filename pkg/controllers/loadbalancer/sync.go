package loadbalancer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/apis/portolan/addressrange"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// sync serves the Services of a key, oldest first. Of those that ask for the same, it asks
// for no more after the first that gets nothing, except for those that have a reservation.
func (c *Controller) sync(ctx context.Context, key string) error {
	services, err := c.needy(key)
	if err != nil {
		return err
	}
	unmet := sets.New[demand]()
	stillWaits := false
	var errs []error
	for _, service := range services {
		wants, common := demandOf(service)
		if common && unmet.Has(wants) && !c.hasReservation(service) {
			continue
		}
		after, err := c.ask(ctx, service)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if after == nil || !isNeedy(after) {
			continue
		}
		stillWaits = true
		if common {
			unmet.Insert(wants)
		}
	}
	if stillWaits {
		c.lookAgain(key)
	}
	return errors.Join(errs...)
}

// needy returns the Services of a key that are of the class of a pool, oldest first.
func (c *Controller) needy(key string) ([]*corev1.Service, error) {
	objs, err := c.services.ByIndex(byNeed, key)
	if err != nil || len(objs) == 0 {
		return nil, err
	}
	pools, err := c.pools.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	offers := offersOf(pools)
	var services []*corev1.Service
	for _, obj := range objs {
		if service := obj.(*corev1.Service); waits(service) || offers.mayServe(service) {
			services = append(services, service)
		}
	}
	slices.SortFunc(services, oldestFirst)
	return services, nil
}

// offers are the IP families of which there are pools, by load-balancer class.
type offers map[string]sets.Set[corev1.IPFamily]

func offersOf(pools []*v1.LoadBalancerPool) offers {
	all := offers{}
	for _, pool := range pools {
		class := ptr.Deref(pool.Spec.LoadBalancerClass, "")
		if all[class] == nil {
			all[class] = sets.New[corev1.IPFamily]()
		}
		for _, addresses := range addressrange.OfPool(&pool.Spec) {
			if addresses.First.Is4() {
				all[class].Insert(corev1.IPv4Protocol)
			} else {
				all[class].Insert(corev1.IPv6Protocol)
			}
		}
	}
	return all
}

// mayServe reports whether there are pools of a Service's class and, if it has addresses of
// pools, of the IP families that it lacks.
func (o offers) mayServe(service *corev1.Service) bool {
	families, ok := o[ptr.Deref(service.Spec.LoadBalancerClass, "")]
	return ok && (isUnserved(service) || families.HasAny(missing(service)...))
}

// ask updates a Service without a change and returns the answer. It returns nil if the
// Service is gone or its request is rejected, which a retry would not change.
func (c *Controller) ask(ctx context.Context, service *corev1.Service) (*corev1.Service, error) {
	after, err := c.client.CoreV1().Services(service.Namespace).Patch(ctx, service.Name, types.MergePatchType, []byte("{}"),
		metav1.PatchOptions{FieldManager: Component})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case apierrors.IsInvalid(err):
		c.recorder.Event(service, corev1.EventTypeWarning, ReasonRejected, err.Error())
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("serving %s/%s: %w", service.Namespace, service.Name, err)
	}
	condition := conditionOf(after)
	if condition != nil && condition.Status == metav1.ConditionTrue && addresses(after) != addresses(service) {
		c.recorder.Eventf(after, corev1.EventTypeNormal, v1.ReasonAllocated, "Allocated %s", addresses(after))
	}
	return after, nil
}

func addresses(service *corev1.Service) string {
	var ips []string
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		ips = append(ips, ingress.IP)
	}
	return strings.Join(ips, ", ")
}

func (c *Controller) recordWaiting(service *corev1.Service) {
	condition := conditionOf(service)
	c.recorder.Event(service, corev1.EventTypeWarning, condition.Reason, condition.Message)
}
