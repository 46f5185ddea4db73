//go:build e2e

package store

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	quota = 32 << 20

	clients = 4
	// rejections is how many rejected writes each client waits for.
	rejections = 8
)

// store is a server whose store is being filled.
type store struct {
	*testing.T
	server *framework.Server
	core   kubernetes.Interface
}

func start(t *testing.T, change func(*options.Options)) *store {
	t.Helper()
	server := framework.Start(t, func(o *options.Options) {
		o.EmbeddedQuotaBytes = quota
		o.Etcd.StorageConfig.CompactionInterval = 10 * time.Second
		if change != nil {
			change(o)
		}
	})
	return &store{T: t, server: server, core: kubernetes.NewForConfigOrDie(server.Config)}
}

func secret(name string, bytes int) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Data:       map[string][]byte{"data": make([]byte, bytes)},
	}
}

func service(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Annotations: map[string]string{"padding": strings.Repeat("x", 230<<10)}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
	}
}

// wantFull wants the error about a full store.
func (s *store) wantFull(what string, err error) {
	s.Helper()
	status, ok := err.(apierrors.APIStatus)
	if !ok || status.Status().Code != http.StatusInsufficientStorage || status.Status().Reason != "InsufficientStorage" ||
		!strings.Contains(err.Error(), "--embedded-etcd-quota-bytes") {
		s.Errorf("%s: got %v", what, err)
	}
}

// pulse makes the store commit a small write, and reports whether it accepted
// it. A commit frees the pages that the one before it replaced, so a store with
// room may count as full until the next one. etcd commits every 100 ms.
func (s *store) pulse() bool {
	s.Helper()
	_, err := s.core.CoreV1().Namespaces().Patch(s.Context(), "default", types.MergePatchType,
		fmt.Appendf(nil, `{"metadata":{"annotations":{"example.com/pulse":%q}}}`, time.Now().Format(time.RFC3339Nano)),
		metav1.PatchOptions{})
	if err != nil {
		s.wantFull("a small update", err)
	}
	time.Sleep(100 * time.Millisecond)
	return err == nil
}

// fill creates Secrets until they are rejected, and returns their number. Writes
// of the last tenths of a second count twice, so the store is full when it
// rejects a Secret after each of several small writes.
func (s *store) fill(prefix string) (created int) {
	s.Helper()
	for n, pulses := 0, 0; pulses < 10; n++ {
		name := fmt.Sprintf("%s-%d", prefix, n)
		_, err := s.core.CoreV1().Secrets("default").Create(s.Context(), secret(name, 900_000), metav1.CreateOptions{})
		if err == nil {
			created++
			pulses = 0
			continue
		}
		s.wantFull("a Secret", err)
		if _, err := s.core.CoreV1().Secrets("default").Get(s.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			s.Errorf("%s was rejected: %v", name, err)
		}
		if s.pulse() {
			pulses++
		}
	}
	return created
}

// countSecrets counts the Secrets in the namespace default.
func (s *store) countSecrets() int {
	s.Helper()
	secrets, err := s.core.CoreV1().Secrets("default").List(s.Context(), metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return len(secrets.Items)
}

// checkFits wants no more Secrets of 900 KB in a full store than fit below its
// reserve of 4 MiB, or than it held before it was filled.
func (s *store) checkFits(before int) {
	s.Helper()
	const fit = (quota - 4<<20) / 900_000
	if n := s.countSecrets(); n > max(fit+1, before) {
		s.Errorf("the store holds %d Secrets, it held %d before, and %d fit", n, before, fit)
	}
}

// edge creates Services from several clients until each has had a number of
// rejections. Rejected Services must not exist.
func (s *store) edge() (created, rejected int) {
	s.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for n, seen := 0, 0; seen < rejections; n++ {
				name := fmt.Sprintf("edge-%d-%d", client, n)
				_, err := s.core.CoreV1().Services("default").Create(s.Context(), service(name), metav1.CreateOptions{})
				mu.Lock()
				if err == nil {
					created++
				} else {
					seen++
					rejected++
					s.wantFull("a Service", err)
				}
				mu.Unlock()
				if err == nil {
					continue
				}
				s.pulse()
				if _, err := s.core.CoreV1().Services("default").Get(s.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
					s.Errorf("%s was rejected: %v", name, err)
				}
			}
		})
	}
	all.Wait()
	return created, rejected
}

// checkClaims wants as many claims as there are Services.
func (s *store) checkClaims() {
	s.Helper()
	services, err := s.core.CoreV1().Services("").List(s.Context(), metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	addresses, err := s.server.Client.PortolanV1().IPAddresses().List(s.Context(), metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	ports, err := s.server.Client.PortolanV1().NodePorts().List(s.Context(), metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	if len(addresses.Items) != len(services.Items) || len(ports.Items) != len(services.Items) {
		s.Errorf("%d Services have %d addresses and %d node ports", len(services.Items), len(addresses.Items), len(ports.Items))
	}
}

// load creates and deletes small Services from several clients until stop. Only
// creates may be rejected.
func (s *store) load() (stop func()) {
	ctx, cancel := context.WithCancel(s.Context())
	var all sync.WaitGroup
	var made, rejected atomic.Int64
	services := s.core.CoreV1().Services("load")
	for client := range clients {
		all.Go(func() {
			wait.UntilWithContext(ctx, func(context.Context) {
				svc := service(fmt.Sprintf("load-%d", client))
				svc.Namespace, svc.Annotations = "load", nil
				if _, err := services.Create(s.Context(), svc, metav1.CreateOptions{}); err != nil {
					s.wantFull("a small Service", err)
					rejected.Add(1)
					return
				}
				made.Add(1)
				if err := services.Delete(s.Context(), svc.Name, metav1.DeleteOptions{}); err != nil {
					s.Errorf("deleting a small Service: %v", err)
				}
			}, 50*time.Millisecond)
		})
	}
	return func() {
		cancel()
		all.Wait()
		s.Logf("meanwhile %d clients made and deleted %d small Services, and %d were rejected", clients, made.Load(), rejected.Load())
	}
}

// clear deletes the Services and Secrets one by one.
func (s *store) clear() (deleted int) {
	s.Helper()
	services, err := s.core.CoreV1().Services("default").List(s.Context(), metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	for _, item := range services.Items {
		if err := s.core.CoreV1().Services("default").Delete(s.Context(), item.Name, metav1.DeleteOptions{}); err != nil {
			s.Errorf("deleting a Service: %v", err)
		}
	}
	secrets, err := s.core.CoreV1().Secrets("default").List(s.Context(), metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	for _, item := range secrets.Items {
		if err := s.core.CoreV1().Secrets("default").Delete(s.Context(), item.Name, metav1.DeleteOptions{}); err != nil {
			s.Errorf("deleting a Secret: %v", err)
		}
	}
	return len(services.Items) + len(secrets.Items)
}

// fileSize returns the disk usage of the database. The file is sparse: it grows
// in steps of 16 MiB.
func (s *store) fileSize() int64 {
	s.Helper()
	info, err := os.Stat(databaseOf(s.server.DataDir))
	if err != nil {
		s.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

// recovers waits until writes are accepted again and the file is small.
func (s *store) recovers() {
	s.Helper()
	began := time.Now()
	var accepted time.Duration
	framework.Eventually(s, "a store that was full accepts writes and is small", func(ctx context.Context) (bool, error) {
		if accepted == 0 {
			// Each try sends 900 KB.
			time.Sleep(100 * time.Millisecond)
			_, err := s.core.CoreV1().Secrets("default").Create(ctx, secret("again", 900_000), metav1.CreateOptions{})
			if err != nil {
				s.wantFull("until there is room", err)
				return false, err
			}
			accepted = time.Since(began)
		}
		size, full := s.fileSize(), s.reportsFull("/readyz")
		return size < quota/2 && !full, fmt.Errorf("the file has %d bytes, writes were accepted after %v, full: %v", size, accepted, full)
	})
	s.Logf("writes were accepted after %v, the file had shrunk to %d bytes after %v", accepted.Round(time.Millisecond), s.fileSize(),
		time.Since(began).Round(time.Millisecond))
}

// reportsFull reports whether a health endpoint, which must be ok otherwise,
// says that the store is full.
func (s *store) reportsFull(path string) bool {
	s.Helper()
	body, err := s.core.Discovery().RESTClient().Get().AbsPath(path).Param("verbose", "").DoRaw(s.Context())
	if err != nil {
		s.Errorf("%s: %v", path, err)
	}
	return strings.Contains(string(body), "[!]store-space: the store is full: ")
}

// verify stops the server and verifies its store.
func (s *store) verify() {
	s.Helper()
	if err := s.server.Stop(); err != nil {
		s.Fatal(err)
	}
	if stdout, stderr, err := framework.Command(s, "verify", "--data-dir="+s.server.DataDir); err != nil {
		s.Errorf("verify: %v\n%s%s", err, stdout, stderr)
	}
}

// TestFullStore fills the embedded etcd, which must reject writes that need
// space, allow everything else, and recover by itself.
func TestFullStore(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ctx, secrets := t.Context(), s.core.CoreV1().Secrets("default")
	held := secret("held", 100_000)
	held.Finalizers = []string{"example.com/hold"}
	if _, err := secrets.Create(ctx, held, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.core.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "load"}},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	empty := s.fileSize()

	filled := s.fill("fill")
	created, rejected := s.edge()
	t.Logf("%d Secrets of 0.9 MB, then %d Services of 230 KB from %d clients, %d rejected; the file has %d bytes, and had %d",
		filled, created, clients, rejected, s.fileSize(), empty)
	// The quota limits the space in use, and the file has free pages as well.
	if s.fileSize() > quota+quota/4 {
		t.Errorf("the file has %d bytes", s.fileSize())
	}
	s.checkClaims()

	_, err := secrets.Create(ctx, secret("tried", 900_000), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	s.wantFull("a dry run", err)
	if _, err := secrets.Create(ctx, secret("fill-0", 900_000), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a Secret that is there: got %v", err)
	}
	_, err = secrets.Patch(ctx, "held", types.MergePatchType, []byte(`{"data":{"more":"`+strings.Repeat("A", 1_000_000)+`"}}`),
		metav1.PatchOptions{})
	s.wantFull("an update that grows", err)
	for path, want := range map[string]bool{"/readyz": true, "/healthz": true, "/livez": false} {
		if s.reportsFull(path) != want {
			t.Errorf("whether %s says that the store is full: %v", path, !want)
		}
	}

	if err := secrets.Delete(ctx, "held", metav1.DeleteOptions{}); err != nil {
		t.Errorf("deleting what has a finalizer: %v", err)
	}
	if _, err := secrets.Patch(ctx, "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`),
		metav1.PatchOptions{}); err != nil {
		t.Errorf("removing a finalizer: %v", err)
	}
	if _, err := secrets.Get(ctx, "held", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what had a finalizer: %v", err)
	}
	stop := s.load()
	t.Logf("deleted %d objects", s.clear())
	s.recovers()
	stop()
	s.checkClaims()
	s.verify()
}

// TestFullStoreAcrossRestarts wants a full store to be full after a restart and
// to recover, and to have room at once with a larger quota.
func TestFullStoreAcrossRestarts(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.fill("before")
	if err := s.server.Stop(); err != nil {
		t.Fatal(err)
	}
	again := s.server.Again(t)
	s = start(t, again)
	s.fill("after")
	s.checkFits(0)
	s.clear()
	s.recovers()
	s.fill("more")
	if err := s.server.Stop(); err != nil {
		t.Fatal(err)
	}
	again = s.server.Again(t)
	s = start(t, func(o *options.Options) {
		again(o)
		o.EmbeddedQuotaBytes = 2 * quota
	})
	if _, err := s.core.CoreV1().Secrets("default").Create(t.Context(), secret("larger", 900_000), metav1.CreateOptions{}); err != nil {
		t.Errorf("with a larger quota: %v", err)
	}
	s.verify()
}
