package framework

import (
	"context"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Getter is the part of a kind's client that reads one object.
type Getter[T metav1.Object] interface {
	Get(ctx context.Context, name string, options metav1.GetOptions) (T, error)
}

// AwaitGone waits until an object does not exist.
func AwaitGone[T metav1.Object](t testing.TB, client Getter[T], name string) {
	t.Helper()
	var object T
	Eventually(t, fmt.Sprintf("the %T %s is gone", object, name), func(ctx context.Context) (bool, error) {
		_, err := client.Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), err
	})
}

// ExpectForeground wants a Service that is deleted in the foreground to wait for a ConfigMap
// that it owns, which a finalizer keeps.
func ExpectForeground[T metav1.Object](t testing.TB, services Getter[T], service string,
	configMaps Getter[*corev1.ConfigMap], owned string) {
	t.Helper()
	Eventually(t, "what the Service owns is being deleted", func(ctx context.Context) (bool, error) {
		object, err := configMaps.Get(ctx, owned, metav1.GetOptions{})
		return err == nil && object.DeletionTimestamp != nil, err
	})
	waits, err := services.Get(t.Context(), service, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if waits.GetDeletionTimestamp() == nil || !slices.Contains(waits.GetFinalizers(), metav1.FinalizerDeleteDependents) {
		t.Errorf("it doesn't wait for what it owns: %v, %v", waits.GetDeletionTimestamp(), waits.GetFinalizers())
	}
}
