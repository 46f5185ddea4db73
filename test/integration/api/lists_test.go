package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestItemsOfListsHaveNoKind: a list says once of what kind its items are,
// wherever it is read from.
func TestItemsOfListsHaveNoKind(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	for i := range 3 {
		if _, err := servicesOf(server).Create(t.Context(), serviceWith(fmt.Sprint("s", i)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	client := server.Client.PortolanV1().RESTClient()
	for what, read := range map[string]func() ([]byte, error){
		"list": func() ([]byte, error) { return client.Get().Resource("services").Do(t.Context()).Raw() },
		"list of old": func() ([]byte, error) {
			return client.Get().Resource("services").Param("resourceVersion", "0").Do(t.Context()).Raw()
		},
		"page": func() ([]byte, error) {
			return client.Get().Resource("services").Param("limit", "2").Do(t.Context()).Raw()
		},
		"list of claims": func() ([]byte, error) { return client.Get().Resource("ipaddresses").Do(t.Context()).Raw() },
		"deletecollection": func() ([]byte, error) {
			return client.Delete().Namespace("default").Resource("services").Param("dryRun", "All").Do(t.Context()).Raw()
		},
		"deletecollection for real": func() ([]byte, error) {
			return client.Delete().Namespace("default").Resource("services").Do(t.Context()).Raw()
		},
	} {
		raw, err := read()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		var list struct {
			Kind  string
			Items []metav1.TypeMeta
		}
		if err := json.Unmarshal(raw, &list); err != nil || list.Kind == "" {
			t.Errorf("%s: %s, %v", what, raw, err)
		}
		for _, item := range list.Items {
			if item != (metav1.TypeMeta{}) {
				t.Errorf("%s: an item says that it is %+v", what, item)
			}
		}
	}
}

// TestListsComeFromTheWatchCache also where etcd is not the embedded one: a list
// that etcd serves costs in proportion to all objects. The server is a process of
// its own, as what the storage library has found out about etcd is the process's.
func TestListsComeFromTheWatchCache(t *testing.T) {
	t.Parallel()
	store := framework.StartEtcd(t)
	server := framework.Spawn(t, t.TempDir(), "--etcd-servers="+store.URL)
	server.WaitReady(t)
	client := server.Client(t)
	framework.Await(t, "a list from the watch cache", func(ctx context.Context) (bool, error) {
		if _, err := client.PortolanV1().Services("default").List(ctx, metav1.ListOptions{}); err != nil {
			return false, err
		}
		metrics, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").Do(ctx).Raw()
		for line := range strings.Lines(string(metrics)) {
			if strings.HasPrefix(line, "apiserver_watch_cache_consistent_read_total") &&
				strings.Contains(line, `resource="services",success="true"`) {
				return true, nil
			}
		}
		return false, err
	})
}
