package selectors

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
)

// newIndex returns an index of Services with the given selectors, in the namespaces shop
// and other.
func newIndex(t *testing.T, selectors map[string]map[string]string, pods ...*corev1.Pod) Index {
	t.Helper()
	core := informers.NewSharedInformerFactory(fake.NewClientset(), 0).Core().V1()
	index, err := NewIndex(core.Services().Informer(), core.Pods().Informer())
	if err != nil {
		t.Fatal(err)
	}
	add := func(indexer cache.Indexer, obj any) {
		if err := indexer.Add(obj); err != nil {
			t.Fatal(err)
		}
	}
	for name, selector := range selectors {
		for _, namespace := range []string{"shop", "other"} {
			add(index.services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
				Spec: corev1.ServiceSpec{Selector: selector}})
		}
	}
	for _, pod := range pods {
		add(index.pods, pod)
	}
	return index
}

func show(keys sets.Set[string]) string { return strings.Join(sets.List(keys), " ") }

func TestMatching(t *testing.T) {
	index := newIndex(t, map[string]map[string]string{
		"web": {"app": "web"}, "web-1": {"app": "web", "version": "1"}, "v1": {"version": "1"},
		"db": {"app": "db"}, "all": {}, "none": nil, "empty-value": {"app": ""},
	})
	tests := map[string]struct {
		labels map[string]string
		want   string
	}{
		"no labels":       {nil, "shop/all"},
		"one":             {map[string]string{"app": "web"}, "shop/all shop/web"},
		"two":             {map[string]string{"app": "web", "version": "1"}, "shop/all shop/v1 shop/web shop/web-1"},
		"another value":   {map[string]string{"app": "web", "version": "2"}, "shop/all shop/web"},
		"an empty value":  {map[string]string{"app": ""}, "shop/all shop/empty-value"},
		"nobody's labels": {map[string]string{"x": "y"}, "shop/all"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := show(index.Matching("shop", test.labels)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func newPod(labels map[string]string, change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "shop", UID: "1", Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "node"},
		Status:     corev1.PodStatus{PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}},
	}
	if change != nil {
		change(pod)
	}
	return pod
}

func TestHandler(t *testing.T) {
	index := newIndex(t, map[string]map[string]string{"web": {"app": "web"}, "web-1": {"app": "web", "version": "1"}, "db": {"app": "db"}})
	web, web1, db := map[string]string{"app": "web"}, map[string]string{"app": "web", "version": "1"}, map[string]string{"app": "db"}
	ready := func(pod *corev1.Pod) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	now := metav1.Now()
	tests := map[string]struct {
		was, is *corev1.Pod
		want    string
	}{
		"nothing":         {newPod(web, nil), newPod(web, func(p *corev1.Pod) { p.Annotations = map[string]string{"a": "b"} }), ""},
		"an odd label":    {newPod(web, nil), newPod(map[string]string{"app": "web", "x": "y"}, nil), ""},
		"joins":           {newPod(web, nil), newPod(web1, nil), "shop/web-1"},
		"leaves":          {newPod(web1, nil), newPod(web, nil), "shop/web-1"},
		"moves":           {newPod(web, nil), newPod(db, nil), "shop/db shop/web"},
		"turns ready":     {newPod(web1, nil), newPod(web1, ready), "shop/web shop/web-1"},
		"moves and turns": {newPod(web, nil), newPod(web1, ready), "shop/web shop/web-1"},
		"is being deleted": {newPod(web, nil), newPod(web, func(p *corev1.Pod) { p.DeletionTimestamp = &now }),
			"shop/web"},
		"ends": {newPod(web, nil), newPod(web, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), "shop/web"},
		"gets an address": {newPod(web, func(p *corev1.Pod) { p.Status.PodIP, p.Status.PodIPs = "", nil }), newPod(web, nil),
			"shop/web"},
		"gets a second": {newPod(web, nil), newPod(web, func(p *corev1.Pod) {
			p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: "fd00::1"})
		}), "shop/web"},
		"is another": {newPod(web, nil), newPod(web, func(p *corev1.Pod) { p.UID = "2" }), "shop/web"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := sets.New[string]()
			index.Handler(func(key string) { got.Insert(key) }).OnUpdate(test.was, test.is)
			if show(got) != test.want {
				t.Errorf("got %q, want %q", show(got), test.want)
			}
		})
	}
	var got []string
	handler := index.Handler(func(key string) { got = append(got, key) })
	handler.OnAdd(newPod(web, nil), false)
	handler.OnDelete(newPod(db, nil))
	handler.OnDelete(cache.DeletedFinalStateUnknown{Key: "shop/a", Obj: newPod(web, nil)})
	handler.OnDelete(cache.DeletedFinalStateUnknown{Key: "shop/a"})
	if want := []string{"shop/web", "shop/db", "shop/web"}; !slices.Equal(got, want) {
		t.Errorf("added and deleted: %q, want %q", got, want)
	}
}

func TestOnNode(t *testing.T) {
	index := newIndex(t, map[string]map[string]string{"web": {"app": "web"}, "db": {"app": "db"}},
		newPod(map[string]string{"app": "web"}, nil),
		newPod(map[string]string{"app": "db"}, func(p *corev1.Pod) { p.Name, p.Spec.NodeName = "b", "elsewhere" }))
	if got := show(index.OnNode("node")); got != "shop/web" {
		t.Errorf("got %q", got)
	}
}
