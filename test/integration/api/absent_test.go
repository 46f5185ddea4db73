package api

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestAbsentKinds reads all kinds that need a cluster, and cannot write them.
func TestAbsentKinds(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	client, err := dynamic.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range registry.AbsentKinds() {
		var objects dynamic.ResourceInterface = client.Resource(kind.Resource)
		list, err := objects.List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 0 || list.GetResourceVersion() == "" {
			t.Errorf("the list of %s: %v, error %v", kind.Resource.Resource, list, err)
		}
		if kind.Namespaced {
			objects = client.Resource(kind.Resource).Namespace("default")
		}
		if _, err := objects.Get(t.Context(), "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("getting one of the %s: %v", kind.Resource.Resource, err)
		}
		if err := objects.Delete(t.Context(), "a", metav1.DeleteOptions{}); !apierrors.IsMethodNotSupported(err) {
			t.Errorf("deleting one of the %s: %v", kind.Resource.Resource, err)
		}
	}
	core := coreClient(t, server)
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	_, err = core.AppsV1().Deployments("default").Create(t.Context(), deployment, metav1.CreateOptions{})
	const why = "deployments.apps need a cluster, and this server has none: it stores no such objects"
	if !apierrors.IsMethodNotSupported(err) || err.Error() != why {
		t.Errorf("creating a Deployment: %v", err)
	}
	factory := informers.NewSharedInformerFactory(core, 0)
	deployments := factory.Apps().V1().Deployments().Informer()
	factory.StartWithContext(t.Context())
	framework.Await(t, "the informer has synced", func(context.Context) (bool, error) { return deployments.HasSynced(), nil })
	volumes, err := core.CoreV1().PersistentVolumes().Watch(t.Context(), metav1.ListOptions{
		SendInitialEvents: ptr.To(true), AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer volumes.Stop()
	event := <-volumes.ResultChan()
	if volume, ok := event.Object.(*corev1.PersistentVolume); !ok || event.Type != watch.Bookmark ||
		volume.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("the first event is %+v", event)
	}
}
