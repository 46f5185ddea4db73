package roles

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	rbacclient "k8s.io/client-go/kubernetes/typed/rbac/v1"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// retryPeriod is how long the aggregation waits after an error.
const retryPeriod = time.Second

// Aggregation fills aggregated ClusterRoles.
type Aggregation struct {
	client  rbacclient.ClusterRoleInterface
	roles   rbaclisters.ClusterRoleLister
	synced  cache.InformerSynced
	changed chan struct{}
}

// NewAggregation returns the aggregation of the roles of an informer. It must be made
// before the informer is started.
func NewAggregation(client rbacclient.ClusterRoleInterface, informer rbacinformers.ClusterRoleInformer) (*Aggregation, error) {
	a := &Aggregation{client: client, roles: informer.Lister(), changed: make(chan struct{}, 1)}
	registration, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { a.notice() },
		UpdateFunc: func(_, _ any) { a.notice() },
		DeleteFunc: func(any) { a.notice() },
	})
	if err != nil {
		return nil, err
	}
	a.synced = registration.HasSynced
	return a, nil
}

func (a *Aggregation) notice() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// Run fills aggregated roles whenever a ClusterRole changes, until the context ends.
func (a *Aggregation) Run(ctx context.Context) {
	if !cache.WaitForCacheSync(ctx.Done(), a.synced) {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
		}
		if err := a.fill(ctx); err != nil && ctx.Err() == nil {
			if !apierrors.IsConflict(err) {
				klog.FromContext(ctx).Error(err, "Aggregating ClusterRoles failed and is retried")
			}
			time.AfterFunc(retryPeriod, a.notice)
		}
	}
}

// fill updates the aggregated roles whose rules are out of date. The event of an update
// fills those that aggregate the updated role in turn. A role that cannot be updated, such as
// one that grew too large for etcd, does not keep the others from it.
func (a *Aggregation) fill(ctx context.Context) error {
	all, err := a.roles.List(labels.Everything())
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(x, y *rbacv1.ClusterRole) int { return cmp.Compare(x.Name, y.Name) })
	var errs []error
	for _, role := range all {
		if err := a.fillOne(ctx, role, all); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("ClusterRole %s: %w", role.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (a *Aggregation) fillOne(ctx context.Context, role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) error {
	if role.AggregationRule == nil {
		return nil
	}
	rules, err := gathered(role, all)
	if err != nil || same(rules, role.Rules) {
		return err
	}
	updated := role.DeepCopy()
	updated.Rules = rules
	_, err = a.client.Update(ctx, updated, metav1.UpdateOptions{FieldManager: "clusterrole-aggregation-controller"})
	return err
}

// same reports whether a role has the gathered rules, in any order: two roles that select each
// other could exchange theirs without end.
func same(gathered, rules []rbacv1.PolicyRule) bool {
	return len(gathered) == len(rules) && len(appendNew(slices.Clone(rules), gathered)) == len(rules)
}

func labelsOf(role *rbacv1.ClusterRole) labels.Labels { return labels.Set(role.Labels) }

// appendNew appends the rules that are not there yet.
func appendNew(rules, more []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	for _, rule := range more {
		if !slices.ContainsFunc(rules, func(other rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(rule, other) }) {
			rules = append(rules, rule)
		}
	}
	return rules
}
