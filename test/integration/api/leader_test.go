package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const leaderKey = "/registry/portolan.dev/leaders/portolan-controllers"

// soonElected are the options of an election that takes little time.
func soonElected(o *controllers.Options) {
	o.LeaderElection.LeaseDuration = metav1.Duration{Duration: 3 * time.Second}
	o.LeaderElection.RenewDeadline = metav1.Duration{Duration: 2 * time.Second}
	o.LeaderElection.RetryPeriod = metav1.Duration{Duration: 200 * time.Millisecond}
}

// leaderOf is the identity of the leader, empty if there is none.
func leaderOf(ctx context.Context, store *framework.Etcd) (string, error) {
	answer, err := store.Client.Get(ctx, leaderKey)
	if err != nil || len(answer.Kvs) == 0 {
		return "", err
	}
	var record resourcelock.LeaderElectionRecord
	err = json.Unmarshal(answer.Kvs[0].Value, &record)
	return record.HolderIdentity, err
}

// replicaThatLeads starts a replica with controllers on a store.
func replicaThatLeads(t *testing.T, store *framework.Etcd) *framework.Server {
	t.Helper()
	return framework.StartAll(t, func(o *options.Options) {
		framework.On(store)(o)
		soonElected(o.Controllers)
	})
}

// expectFollowed wants Endpoints to follow what a Pod's status says.
func expectFollowed(t *testing.T, client kubernetes.Interface, ip string) {
	t.Helper()
	makeReady(t, client, "a", ip, corev1.ConditionTrue)
	expectSlice(t, client, ip+":80 in no zone ready")
}

func createWeb(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	svc := coreService("web", func(spec *corev1.ServiceSpec) { spec.Selector = map[string]string{"app": "web"} })
	if _, err := client.CoreV1().Services("default").Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Pods("default").Create(t.Context(), podNamed("a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestLeaseDecidesNothing has a user write into the Lease that the leader keeps
// for earlier releases that it is theirs for 68 years. The leader goes on, and
// another replica takes over all the same.
func TestLeaseDecidesNothing(t *testing.T) {
	t.Parallel()
	store := framework.StartEtcd(t)
	first := replicaThatLeads(t, store)
	client := coreClient(t, first)
	createWeb(t, client)
	expectFollowed(t, client, "192.0.2.1")
	leader, err := leaderOf(t.Context(), store)
	if err != nil || leader == "" {
		t.Fatalf("the leader is %q, %v", leader, err)
	}
	second := replicaThatLeads(t, store)
	expectMetric := func(server *framework.Server, line string) {
		t.Helper()
		framework.Await(t, line, func(ctx context.Context) (bool, error) {
			text, err := server.Client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
			return strings.Contains(string(text), line), err
		})
	}
	expectMetric(first, "portolan_controllers_leading 1\n")
	expectMetric(second, "portolan_controllers_leading 0\n")
	expectMetric(second, fmt.Sprintf("portolan_controllers_leader_lease_seconds{holder=%q} 3\n", leader))
	details, err := second.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "").DoRaw(t.Context())
	if err != nil || !strings.Contains(string(details), "[+]controllers-leader ok\n") {
		t.Errorf("details of the readiness: %s, %v", details, err)
	}

	leases := client.CoordinationV1().Leases(metav1.NamespaceSystem)
	take := []byte(`{"spec":{"holderIdentity":"someone-else","leaseDurationSeconds":2147483647,"renewTime":"2099-01-01T00:00:00.000000Z"}}`)
	if _, err := leases.Patch(t.Context(), "portolan-controllers", types.MergePatchType, take, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	expectFollowed(t, client, "192.0.2.2")
	if now, err := leaderOf(t.Context(), store); err != nil || now != leader {
		t.Errorf("the leader is %q, %v, want still %q", now, err, leader)
	}
	framework.Await(t, "the Lease is taken back", func(ctx context.Context) (bool, error) {
		lease, err := leases.Get(ctx, "portolan-controllers", metav1.GetOptions{})
		return err == nil && ptr.Deref(lease.Spec.HolderIdentity, "") == leader, err
	})
	if _, err := leases.Patch(t.Context(), "portolan-controllers", types.MergePatchType, take, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	client = coreClient(t, second)
	expectFollowed(t, client, "192.0.2.3")
	expectMetric(second, "portolan_controllers_leading 1\n")
}

// TestUpgradeOfElection has a process elect by the Lease, as earlier releases do.
// A replica of this release takes over from it, and hands over to it.
func TestUpgradeOfElection(t *testing.T) {
	t.Parallel()
	store := framework.StartEtcd(t)
	client := coreClient(t, framework.Start(t, framework.On(store)))
	createWeb(t, client)

	old := controllers.NewLeadership()
	o := controllers.NewOptions()
	soonElected(o)
	o.LeaderElection.ResourceNamespace = metav1.NamespaceSystem
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- controllers.Run(ctx, controllers.Config{Cluster: client, Unscheduled: true, Leadership: old, Options: o})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	expectFollowed(t, client, "192.0.2.1")

	replica := replicaThatLeads(t, store)
	framework.Await(t, "the old one stops", func(context.Context) (bool, error) { return !old.Leader().Here, nil })
	expectFollowed(t, client, "192.0.2.2")
	if leader, err := leaderOf(t.Context(), store); err != nil || leader == "" || old.Leader().Here {
		t.Errorf("the leader is %q, %v; the old one leads: %v", leader, err, old.Leader().Here)
	}
	if err := replica.Stop(); err != nil {
		t.Fatal(err)
	}
	expectFollowed(t, client, "192.0.2.3")
	if !old.Leader().Here {
		t.Error("the old one doesn't lead again")
	}
}
