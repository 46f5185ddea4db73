//go:build e2e

package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/test/framework"
)

// smallQuota gives an external etcd a small quota.
func smallQuota(config *embed.Config) { config.QuotaBackendBytes = quota }

// raiseAlarm writes to the etcd of a data directory, which has a quota of its
// own, until it raises its alarm.
func raiseAlarm(t *testing.T, dataDir string) {
	t.Helper()
	etcd := framework.StartEtcd(t, smallQuota, func(config *embed.Config) {
		config.Name, config.Dir = "portolan", filepath.Join(dataDir, "etcd")
	})
	defer etcd.Stop()
	for n := 0; ; n++ {
		_, err := etcd.Client.Put(t.Context(), fmt.Sprintf("/elsewhere/%d", n), strings.Repeat("x", 900_000))
		if errors.Is(err, rpctypes.ErrNoSpace) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if alarms, err := etcd.Client.AlarmList(t.Context()); err != nil || len(alarms.Alarms) == 0 {
		t.Fatalf("alarms: %v, %v", alarms, err)
	}
	// Users cannot delete these keys through the server.
	if _, err := etcd.Client.Delete(t.Context(), "/elsewhere/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
}

// TestFullStoreOfBefore starts a server on a store with etcd's alarm.
func TestFullStoreOfBefore(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	if _, err := s.core.CoreV1().Services("default").Create(t.Context(), service("kept"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.server.Stop(); err != nil {
		t.Fatal(err)
	}
	raiseAlarm(t, s.server.DataDir)
	s = start(t, s.server.Again(t))
	t.Logf("the file has %d bytes", s.fileSize())
	s.recovers()
	if _, err := s.core.CoreV1().Services("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	s.checkClaims()
	s.verify()
}

// TestFullExternalEtcd checks the answer to every write to a full external
// etcd: a 507 for writes that were not carried out, a 504 for those that may
// have been.
func TestFullExternalEtcd(t *testing.T) {
	t.Parallel()
	external := framework.StartEtcd(t, smallQuota)
	server := framework.Start(t, framework.On(external))
	s := &store{T: t, server: server, core: kubernetes.NewForConfigOrDie(server.Config)}
	services := s.core.CoreV1().Services("default")

	var mu sync.Mutex
	var all sync.WaitGroup
	answers, truth := map[int32]int{}, map[int32]int{}
	var exist []string
	for client := range 2 * clients {
		all.Go(func() {
			for n, seen := 0, 0; seen < rejections; n++ {
				name := fmt.Sprintf("edge-%d-%d", client, n)
				_, err := services.Create(t.Context(), service(name), metav1.CreateOptions{})
				code := int32(http.StatusCreated)
				if err != nil {
					seen++
					code = codeOf(err)
				}
				_, missing := services.Get(t.Context(), name, metav1.GetOptions{})
				mu.Lock()
				answers[code]++
				if missing == nil {
					truth[code]++
					exist = append(exist, name)
				}
				mu.Unlock()
				switch {
				case code == http.StatusGatewayTimeout:
					if !strings.Contains(err.Error(), "may have been carried out") {
						t.Errorf("%s: %v", name, err)
					}
				case code == http.StatusInsufficientStorage:
					if !apierrors.IsNotFound(missing) || !strings.Contains(err.Error(), "compact, defragment and disarm the alarm, in that order") {
						t.Errorf("%s: %v, then %v", name, err, missing)
					}
				case code != http.StatusCreated || missing != nil:
					t.Errorf("%s: %v, then %v", name, err, missing)
				}
			}
		})
	}
	all.Wait()
	t.Logf("answers: %v, of which there exist: %v", answers, truth)
	s.checkClaims()
	framework.Verify(t, external.Client)
	if _, err := services.Create(t.Context(), service("tried"),
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); codeOf(err) != http.StatusInsufficientStorage {
		t.Errorf("a dry run: %v", err)
	}

	for _, name := range exist[:len(exist)/4] {
		if err := services.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("a delete: %v", err)
		}
	}
	release(t, external)
	if _, err := services.Create(t.Context(), service("after"), metav1.CreateOptions{}); err != nil {
		t.Errorf("after compaction, defragmentation and disarming: %v", err)
	}
	framework.Verify(t, external.Client)
}

func codeOf(err error) int32 {
	if status, ok := err.(apierrors.APIStatus); ok {
		return status.Status().Code
	}
	return 0
}

// release frees space in a full etcd as an operator does.
func release(t *testing.T, etcd *framework.Etcd) {
	t.Helper()
	ctx := context.Background()
	status, err := etcd.Client.Status(ctx, etcd.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Client.Compact(ctx, status.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Client.Defragment(ctx, etcd.URL); err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Client.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		t.Fatal(err)
	}
}
