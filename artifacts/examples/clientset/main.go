// Command clientset shows the generated clientset and informers: it watches
// Services while it creates one, changes it and deletes it again.
//
//	go run ./artifacts/examples/clientset --kubeconfig portolan-data/admin.kubeconfig
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/generated/informers/externalversions"
)

func main() {
	kubeconfig := pflag.String("kubeconfig", "portolan-data/admin.kubeconfig", "kubeconfig of the server")
	pflag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err == nil {
		err = run(context.Background(), config, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, config *rest.Config, out io.Writer) error {
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen, err := watch(ctx, client)
	if err != nil {
		return err
	}

	services := client.PortolanV1().Services("default")
	created, err := services.Create(ctx, &v1.Service{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "example-"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	patch := []byte(`{"spec":{"type":"NodePort"}}`)
	if _, err := services.Patch(ctx, created.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return err
	}
	if err := services.Delete(ctx, created.Name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	for event := range seen {
		if event.service.UID != created.UID {
			continue
		}
		fmt.Fprintf(out, "%-8s %s %s %s\n", event.what, event.service.Name, event.service.Spec.Type, event.service.Spec.ClusterIP)
		if event.what == "deleted" {
			return nil
		}
	}
	return ctx.Err()
}

type event struct {
	what    string
	service *v1.Service
}

// watch sends the events of Services from an informer, once its cache has synced.
func watch(ctx context.Context, client versioned.Interface) (<-chan event, error) {
	factory := externalversions.NewSharedInformerFactory(client, 0)
	informer := factory.Portolan().V1().Services().Informer()
	events := make(chan event)
	send := func(what string, obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		select {
		case events <- event{what, obj.(*v1.Service)}:
		case <-ctx.Done():
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { send("added", obj) },
		UpdateFunc: func(_, obj any) { send("updated", obj) },
		DeleteFunc: func(obj any) { send("deleted", obj) },
	})
	if err != nil {
		return nil, err
	}
	factory.StartWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, fmt.Errorf("the informer of Services did not sync: %w", ctx.Err())
	}
	return events, nil
}
