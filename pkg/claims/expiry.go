package claims

import (
	"context"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

// expiryInterval is how long an expired reservation may still be listed. A Service that
// names its value can take it at once.
const expiryInterval = time.Second

// RemoveExpired deletes reservations that have expired, until the context ends. Every
// replica does it. A reservation that was changed meanwhile, or that a Service has taken,
// stays.
func RemoveExpired(ctx context.Context, ledger *Ledger, store func(resource string) rest.GracefulDeleter) {
	ticker := time.NewTicker(expiryInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, class := range allocation.Classes() {
			for value, revision := range ledger.Index.Expired(class) {
				resource := kindOf(class).names().claims
				err := removeExpired(ctx, store(resource), value.String(), revision)
				if err != nil && ctx.Err() == nil {
					klog.FromContext(ctx).Error(err, "An expired reservation can't be deleted", "resource", resource, "name", value.String())
				}
			}
		}
	}
}

func removeExpired(ctx context.Context, store rest.GracefulDeleter, name string, revision int64) error {
	version := strconv.FormatInt(revision, 10)
	options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &version}}
	_, _, err := store.Delete(ctx, name, rest.ValidateAllObjectFunc, options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
