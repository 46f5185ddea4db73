package pod

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericrest "k8s.io/apiserver/pkg/registry/generic/rest"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/apis/core/validation"
)

// The subresources log, exec, attach and portforward answer as kube-apiserver does for a
// Pod that has no node (pkg/registry/core/pod): there is no log, and nothing to connect to.
// Portolan does not connect to nodes, so a Pod that has one gets an error that says so.
var (
	_ rest.GetterWithOptions = &Log{}
	_ rest.StorageMetadata   = &Log{}
	_ rest.Connecter         = &Stream{}
)

// Log serves pods/log.
type Log struct {
	// Pods reads Pods.
	Pods rest.Getter
}

// New implements rest.Storage.
func (*Log) New() runtime.Object { return &corev1.Pod{} }

// Destroy implements rest.Storage.
func (*Log) Destroy() {}

// ProducesMIMETypes implements rest.StorageMetadata.
func (*Log) ProducesMIMETypes(string) []string { return []string{"text/plain"} }

// ProducesObject implements rest.StorageMetadata.
func (*Log) ProducesObject(string) any { return "" }

// NewGetOptions implements rest.GetterWithOptions.
func (*Log) NewGetOptions() (runtime.Object, bool, string) { return &corev1.PodLogOptions{}, false, "" }

// Get implements rest.GetterWithOptions. A streamer without a location is an empty answer.
func (l *Log) Get(ctx context.Context, name string, options runtime.Object) (runtime.Object, error) {
	logOptions := options.(*corev1.PodLogOptions)
	if errs := validation.ValidatePodLogOptions(logOptions); len(errs) > 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("PodLogOptions").GroupKind(), name, errs)
	}
	pod, err := find(ctx, l.Pods, name)
	if err != nil {
		return nil, err
	}
	if err := checkContainer(pod, logOptions.Container); err != nil {
		return nil, err
	}
	if pod.Spec.NodeName != "" {
		return nil, noConnection(pod)
	}
	return &genericrest.LocationStreamer{}, nil
}

// Stream serves pods/exec, pods/attach or pods/portforward.
type Stream struct {
	// Pods reads Pods.
	Pods rest.Getter
	// NewOptions returns the options of the subresource.
	NewOptions func() runtime.Object
}

// New implements rest.Storage.
func (s *Stream) New() runtime.Object { return s.NewOptions() }

// Destroy implements rest.Storage.
func (*Stream) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (*Stream) ConnectMethods() []string { return []string{http.MethodGet, http.MethodPost} }

// NewConnectOptions implements rest.Connecter.
func (s *Stream) NewConnectOptions() (runtime.Object, bool, string) { return s.NewOptions(), false, "" }

// Connect implements rest.Connecter. It always returns an error.
func (s *Stream) Connect(ctx context.Context, name string, options runtime.Object, _ rest.Responder) (http.Handler, error) {
	pod, err := find(ctx, s.Pods, name)
	if err != nil {
		return nil, err
	}
	switch options := options.(type) {
	case *corev1.PodExecOptions:
		err = checkContainer(pod, options.Container)
	case *corev1.PodAttachOptions:
		err = checkContainer(pod, options.Container)
	}
	switch {
	case err != nil:
		return nil, err
	case pod.Spec.NodeName != "":
		return nil, noConnection(pod)
	}
	return nil, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", name))
}

func find(ctx context.Context, pods rest.Getter, name string) (*corev1.Pod, error) {
	obj, err := pods.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.Pod), nil
}

// checkContainer wants the name of a container. It can be empty if there is only one.
func checkContainer(pod *corev1.Pod, name string) error {
	var names []string
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			names = append(names, containers[i].Name)
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		names = append(names, pod.Spec.EphemeralContainers[i].Name)
	}
	switch {
	case name == "" && len(pod.Spec.Containers) > 1:
		return apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %s", pod.Name, names))
	case name != "" && !slices.Contains(names, name):
		return apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, pod.Name))
	}
	return nil
}

func noConnection(pod *corev1.Pod) error {
	return apierrors.NewBadRequest(fmt.Sprintf("pod %s is on host %s, and Portolan does not connect to hosts", pod.Name, pod.Spec.NodeName))
}
