package claims

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"go.etcd.io/etcd/client/v3/kubernetes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/txn"
)

const quotasBusy = "other ClaimQuotas of the namespace were written in each attempt; try again"

// QuotaStorage is the store of ClaimQuotas. The transaction that writes a ClaimQuota writes
// the limits of its namespace too, and deletes the permits of limits that are gone. From then
// on no write of a Service in the namespace succeeds that relies on the limits before.
type QuotaStorage struct {
	storage.Interface
	ledger *Ledger
}

var _ storage.Interface = &QuotaStorage{}

// NewQuotaStorage wraps the store of ClaimQuotas, which must write through txn.Decorate's
// client.
func NewQuotaStorage(inner storage.Interface, ledger *Ledger) *QuotaStorage {
	return &QuotaStorage{Interface: inner, ledger: ledger}
}

// Create writes a ClaimQuota.
func (s *QuotaStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	quota, err := quotaOf(obj)
	if err != nil {
		return err
	}
	plan := &txn.Plan{}
	return retry{plan: plan, attempts: maxSharedAttempts, busy: quotasBusy}.do(ctx, func(ctx context.Context) error {
		if err := s.planLimits(ctx, plan, quota, quota.Spec.Hard); err != nil {
			return err
		}
		return s.Interface.Create(ctx, key, obj, out, ttl)
	})
}

// GuaranteedUpdate changes a ClaimQuota.
func (s *QuotaStorage) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) error {
	plan := &txn.Plan{}
	update := func(input runtime.Object, res storage.ResponseMeta) (runtime.Object, *uint64, error) {
		output, ttl, err := tryUpdate(input, res)
		if err != nil {
			return nil, nil, err
		}
		quota, err := quotaOf(output)
		if err != nil {
			return nil, nil, err
		}
		return output, ttl, s.planLimits(ctx, plan, quota, quota.Spec.Hard)
	}
	return retry{plan: plan, attempts: maxSharedAttempts, busy: quotasBusy}.do(ctx, func(ctx context.Context) error {
		return s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, update, cached)
	})
}

// Delete deletes a ClaimQuota.
func (s *QuotaStorage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validateDeletion storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) error {
	plan := &txn.Plan{}
	validate := func(ctx context.Context, obj runtime.Object) error {
		if err := validateDeletion(ctx, obj); err != nil {
			return err
		}
		quota, err := quotaOf(obj)
		if err != nil {
			return err
		}
		return s.planLimits(ctx, plan, quota, nil)
	}
	return retry{plan: plan, attempts: maxSharedAttempts, busy: quotasBusy}.do(ctx, func(ctx context.Context) error {
		return s.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts)
	})
}

// planLimits plans the change of a namespace's limits to those that a ClaimQuota has from now
// on, none if it is deleted.
func (s *QuotaStorage) planLimits(ctx context.Context, plan *txn.Plan, quota *v1.ClaimQuota, hard map[string]int64) error {
	plan.Reset()
	book := s.ledger.limits
	key := book.key(quota.Namespace)
	found, err := s.ledger.client.Get(ctx, key, kubernetes.GetOptions{})
	if err != nil {
		return err
	}
	stored, err := parseLimits(found.KV)
	if err != nil {
		return err
	}
	before := stored[quota.Name]
	if before != nil && maps.Equal(before, hard) {
		return nil
	}
	plan.Guards = append(plan.Guards, txn.Guard{Key: key, Revision: txn.ModRevision(found.KV)})
	if hard == nil {
		delete(stored, quota.Name)
		plan.DeletePrefixes = append(plan.DeletePrefixes, book.quotaPrefix(quota.Namespace, quota.Name))
	} else {
		stored[quota.Name] = hard
		for name := range before {
			if _, remains := hard[name]; !remains {
				plan.DeletePrefixes = append(plan.DeletePrefixes, book.limitPrefix(quota.Namespace, quota.Name, name))
			}
		}
	}
	if len(stored) == 0 {
		plan.Deletes = append(plan.Deletes, key)
		return nil
	}
	value, err := json.Marshal(stored)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", key, err)
	}
	plan.Puts = append(plan.Puts, txn.Put{Key: key, Value: value})
	return nil
}

func quotaOf(obj runtime.Object) (*v1.ClaimQuota, error) {
	quota, ok := obj.(*v1.ClaimQuota)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("the store of ClaimQuotas was handed a %T", obj))
	}
	return quota, nil
}
