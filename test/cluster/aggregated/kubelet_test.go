//go:build e2e

package aggregated

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/keyutil"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/netns"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

const (
	namespace = "portolan"
	node      = "node"
	component = "app.kubernetes.io/component=server"
	// accountDir is where a Pod finds what it comes to the cluster with.
	accountDir = "/var/run/secrets/kubernetes.io/serviceaccount"
	// probeEvery is how often a kubelet here looks at its Pods.
	probeEvery = 100 * time.Millisecond
)

// kubelet does for the Pods of Portolan's Deployment what a node would: it runs
// what their spec says, on an address of each one's own, and says in their
// status whether that is ready.
type kubelet struct {
	t *testing.T
	g *fixture
	// ctx ends with the cluster.
	ctx    context.Context
	client *http.Client
	pods   sync.WaitGroup

	mu       sync.Mutex
	replicas map[types.UID]*replica
	hosts    int
}

// replica is a Pod that runs.
type replica struct {
	name, address string
	// stop ends it as the deletion of its Pod does.
	stop context.CancelFunc

	mu      sync.Mutex
	process *upstream.Process
	// down says that a test wants it to be so.
	down bool
	// last is what went wrong last.
	last error
	// start runs the process again.
	start func() (*upstream.Process, error)
}

func startKubelet(t *testing.T, g *fixture) *kubelet {
	t.Helper()
	if err := netns.Replace("/var/run"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &kubelet{t: t, g: g, ctx: ctx, replicas: map[types.UID]*replica{}, client: &http.Client{
		Timeout: 5 * time.Second,
		// A kubelet does not verify the certificate.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}}
	_, err := g.client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(g.client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = component }))
	_, err = factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { k.add(object.(*corev1.Pod)) },
		UpdateFunc: func(_, object any) {
			if pod := object.(*corev1.Pod); pod.DeletionTimestamp != nil {
				k.remove(pod)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
		k.pods.Wait()
	})
	return k
}

// running are the replicas whose Pods are there, by name.
func (k *kubelet) running() map[string]*replica {
	k.mu.Lock()
	defer k.mu.Unlock()
	byName := map[string]*replica{}
	for _, r := range k.replicas {
		byName[r.name] = r
	}
	return byName
}

// troubles are what went wrong last with each replica.
func (k *kubelet) troubles() map[string]error {
	troubles := map[string]error{}
	for name, r := range k.running() {
		r.mu.Lock()
		troubles[name] = r.last
		r.mu.Unlock()
	}
	return troubles
}

func (k *kubelet) add(pod *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hosts++
	ctx, cancel := context.WithCancel(k.ctx)
	r := &replica{name: pod.Name, address: fmt.Sprintf("192.0.2.%d", 10+k.hosts), stop: cancel}
	k.replicas[pod.UID] = r
	k.pods.Go(func() {
		if err := k.run(ctx, r, pod); err != nil {
			k.t.Errorf("Pod %s: %v", pod.Name, err)
		}
	})
}

func (k *kubelet) remove(pod *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.replicas[pod.UID]; r != nil {
		r.stop()
		delete(k.replicas, pod.UID)
	}
}

// run runs a Pod until it is deleted, which is when the process is asked to
// end, or the cluster goes, which is when it is killed.
func (k *kubelet) run(ctx context.Context, r *replica, pod *corev1.Pod) error {
	container := pod.Spec.Containers[0]
	var args []string
	ready := false
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	bound := false
	for {
		select {
		case <-ctx.Done():
			return k.end(r, pod)
		case <-ticker.C:
		}
		if !bound {
			target := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}
			if err := k.g.client.CoreV1().Pods(pod.Namespace).Bind(ctx, target, metav1.CreateOptions{}); err != nil {
				r.note(err)
				continue
			}
			bound = true
		}
		if args == nil {
			// What it mounts or reads may not be there yet.
			found, err := k.arguments(ctx, r, pod, &container)
			if err != nil {
				r.note(err)
				continue
			}
			args = found
			r.start = func() (*upstream.Process, error) {
				command := framework.Portolan(k.t, args...)
				command.Env = append(command.Env, "KUBERNETES_SERVICE_HOST="+clusterAddress, "KUBERNETES_SERVICE_PORT=6443")
				return upstream.LaunchCommand(r.name, k.g.dir, command)
			}
			if err := r.up(); err != nil {
				return err
			}
		}
		if err := r.ended(); err != nil {
			return err
		}
		if now := k.probe(ctx, r, &container) == nil; now != ready || pod.Status.PodIP == "" {
			// The cluster may be away: the status is sent when it is back.
			if err := k.report(ctx, r, pod, now); err != nil {
				r.note(err)
				continue
			}
			ready, pod.Status.PodIP = now, r.address
		}
	}
}

// note records why the replica isn't ready.
func (r *replica) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = err
}

// up runs the process.
func (r *replica) up() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	process, err := r.start()
	if err != nil {
		return err
	}
	r.process, r.down = process, false
	return nil
}

// kill ends the process and leaves it at that, until up.
func (r *replica) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = true
	r.process.Stop()
}

// ended is an error if the process has ended by itself.
func (r *replica) ended() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.process.Ended():
	default:
		return nil
	}
	if r.down {
		return nil
	}
	return r.process.Explain(errors.New("it has ended by itself"))
}

// end is what becomes of a Pod that is deleted: its process ends, and then it
// is gone. When the cluster goes there is nobody to tell.
func (k *kubelet) end(r *replica, pod *corev1.Pod) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process != nil {
		defer r.process.Stop()
		if k.ctx.Err() == nil {
			ctx, cancel := context.WithTimeout(k.ctx, framework.Patience)
			defer cancel()
			if err := r.process.Terminate(ctx); err != nil && k.ctx.Err() == nil {
				return err
			}
		}
	}
	err := k.g.client.CoreV1().Pods(pod.Namespace).Delete(k.ctx, pod.Name, *metav1.NewDeleteOptions(0))
	if k.ctx.Err() != nil || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// probe asks what the readiness probe of the container asks.
func (k *kubelet) probe(ctx context.Context, r *replica, container *corev1.Container) error {
	probe := container.ReadinessProbe.HTTPGet
	port := probe.Port.IntValue()
	for _, named := range container.Ports {
		if named.Name == probe.Port.StrVal {
			port = int(named.ContainerPort)
		}
	}
	url := fmt.Sprintf("%s://%s%s", strings.ToLower(string(probe.Scheme)), net.JoinHostPort(r.address, fmt.Sprint(port)), probe.Path)
	err := get(ctx, k.client, url)
	if err != nil {
		r.note(err)
	}
	return err
}

// get wants a 200.
func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

// report writes the status of a Pod. A Pod that is gone needs none.
func (k *kubelet) report(ctx context.Context, r *replica, pod *corev1.Pod, ready bool) error {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	patch, err := json.Marshal(map[string]any{"status": corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: r.address, PodIPs: []corev1.PodIP{{IP: r.address}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}, {Type: corev1.ContainersReady, Status: status}},
	}})
	if err != nil {
		return err
	}
	_, err = k.g.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{},
		"status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// arguments are those of the container, with what it reads from the cluster
// filled in, and with what only a node has replaced: the paths of volumes and
// the Pod's address.
func (k *kubelet) arguments(ctx context.Context, r *replica, pod *corev1.Pod, container *corev1.Container) ([]string, error) {
	var pairs []string
	for _, variable := range container.Env {
		value, err := k.value(ctx, r, pod, variable)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, "$("+variable.Name+")", value)
	}
	for _, mount := range container.VolumeMounts {
		dir := filepath.Join(k.g.dir, pod.Name+"-"+mount.Name)
		// Programs look for this one where it is in every Pod.
		if mount.MountPath == accountDir {
			dir = accountDir
		}
		if err := k.mount(ctx, pod, mount.Name, dir); err != nil {
			return nil, err
		}
		pairs = append(pairs, mount.MountPath, dir)
	}
	fill := strings.NewReplacer(pairs...)
	args := []string{}
	for _, arg := range container.Args {
		if strings.HasPrefix(arg, "--bind-address=") {
			arg = "--bind-address=" + r.address
		}
		args = append(args, fill.Replace(arg))
	}
	return args, nil
}

// value is that of a variable of a container's environment.
func (k *kubelet) value(ctx context.Context, r *replica, pod *corev1.Pod, variable corev1.EnvVar) (string, error) {
	from := variable.ValueFrom
	switch {
	case from == nil:
		return variable.Value, nil
	case from.ConfigMapKeyRef != nil:
		config, err := k.g.client.CoreV1().ConfigMaps(pod.Namespace).Get(ctx, from.ConfigMapKeyRef.Name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return config.Data[from.ConfigMapKeyRef.Key], nil
	case from.FieldRef != nil:
		switch path := from.FieldRef.FieldPath; path {
		case "metadata.name":
			return pod.Name, nil
		case "metadata.namespace":
			return pod.Namespace, nil
		case "status.podIP":
			return r.address, nil
		}
	}
	return "", fmt.Errorf("the variable %s: this kubelet knows no such source", variable.Name)
}

// mount makes the directory of a volume. What is in it is for the owner alone.
func (k *kubelet) mount(ctx context.Context, pod *corev1.Pod, volume, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	at := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume })
	var sources []corev1.VolumeProjection
	switch v := pod.Spec.Volumes[at]; {
	case v.EmptyDir != nil:
		return nil
	case v.Projected != nil:
		sources = v.Projected.Sources
	case v.Secret != nil:
		name := corev1.LocalObjectReference{Name: v.Secret.SecretName}
		sources = []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: name}}}
	case v.ConfigMap != nil:
		sources = []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: v.ConfigMap.LocalObjectReference}}}
	default:
		return fmt.Errorf("the volume %s: this kubelet knows no such source", volume)
	}
	for _, source := range sources {
		files, err := k.files(ctx, pod, source)
		if err != nil {
			return err
		}
		for name, data := range files {
			// A reader has the old file or the new one.
			if err := keyutil.WriteKey(filepath.Join(dir, name+".new"), data); err != nil {
				return err
			}
			if err := os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// files are those of a volume's source, by name.
func (k *kubelet) files(ctx context.Context, pod *corev1.Pod, source corev1.VolumeProjection) (map[string][]byte, error) {
	files := map[string][]byte{}
	switch {
	case source.Secret != nil:
		secret, err := k.g.client.CoreV1().Secrets(pod.Namespace).Get(ctx, source.Secret.Name, metav1.GetOptions{})
		return secret.Data, err
	case source.ConfigMap != nil:
		config, err := k.g.client.CoreV1().ConfigMaps(pod.Namespace).Get(ctx, source.ConfigMap.Name, metav1.GetOptions{})
		for name, text := range config.Data {
			files[name] = []byte(text)
		}
		return files, err
	case source.ServiceAccountToken != nil:
		// It is not bound to the Pod, as the replicas share the file.
		request := &authenticationv1.TokenRequest{
			Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: source.ServiceAccountToken.ExpirationSeconds},
		}
		answer, err := k.g.client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request,
			metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		files[source.ServiceAccountToken.Path] = []byte(answer.Status.Token)
	case source.DownwardAPI != nil:
		for _, item := range source.DownwardAPI.Items {
			if item.FieldRef == nil || item.FieldRef.FieldPath != "metadata.namespace" {
				return nil, fmt.Errorf("the file %s: this kubelet knows no such source", item.Path)
			}
			files[item.Path] = []byte(pod.Namespace)
		}
	}
	return files, nil
}
