package verify

import (
	"context"
	"encoding/json"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/etcd/etcdtest"
)

// TestOutdatedRepairs plans repairs and changes the objects that they rely on
// before it applies them.
func TestOutdatedRepairs(t *testing.T) {
	store := etcdtest.Start(t)
	put := func(key string, object runtime.Object) {
		t.Helper()
		object.GetObjectKind().SetGroupVersionKind(v1.SchemeGroupVersion.WithKind(map[bool]string{true: "Service",
			false: "IPAddress"}[key[:1] == "s"]))
		value, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Client.Put(t.Context(), rootOf("/registry")+key, string(value)); err != nil {
			t.Fatal(err)
		}
	}
	repairer := Repairer{KV: store.Client, Prefix: "/registry",
		Encode: func(_ context.Context, _, _ string, object runtime.Object) ([]byte, error) {
			object.GetObjectKind().SetGroupVersionKind(v1.SchemeGroupVersion.WithKind("IPAddress"))
			return json.Marshal(object)
		}}
	plan := func(want int) []Repair {
		t.Helper()
		contents, err := Read(t.Context(), store.Client, "/registry")
		if err != nil {
			t.Fatal(err)
		}
		plan := MakePlan(contents)
		if len(plan.Repairs) != want {
			t.Fatalf("planned %v, want %d repairs", plan, want)
		}
		return plan.Repairs
	}
	apply := func(repair Repair, want bool) {
		t.Helper()
		if applied, err := repairer.Apply(t.Context(), repair); err != nil || applied != want {
			t.Errorf("%s: applied %v, %v", repair.Text, applied, err)
		}
	}
	web, gone := newService("web", "10.96.0.5"), newAddress("10.96.0.9", heldBy("gone"))
	put("services/default/web", &web)
	put("ipaddresses/10.96.0.9", &gone)
	repairs := plan(2)
	// The Service changes, and the one that the claim names is created.
	put("services/default/web", &web)
	other := newService("gone", "10.96.0.9")
	put("services/default/gone", &other)
	for _, repair := range repairs {
		apply(repair, false)
	}
	repair := plan(1)[0]
	apply(repair, true)
	apply(repair, false)
	plan(0)
	// The address is claimed, and the claim is written.
	if _, err := store.Client.Delete(t.Context(), rootOf("/registry"), clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	put("services/default/web", &web)
	put("ipaddresses/10.96.0.9", &gone)
	repairs = plan(2)
	claim := newAddress("10.96.0.5", heldBy("web"))
	put("ipaddresses/10.96.0.5", &claim)
	put("ipaddresses/10.96.0.9", &gone)
	for _, repair := range repairs {
		apply(repair, false)
	}
}
