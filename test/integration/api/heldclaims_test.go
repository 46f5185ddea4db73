package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// claimPaths are where the claims on an address and on a port are served.
func claimPaths(address, port string) []string {
	return []string{
		"/apis/" + v1.GroupName + "/v1/ipaddresses/" + address,
		"/apis/" + networkingv1.GroupName + "/v1/ipaddresses/" + address,
		"/apis/" + v1.GroupName + "/v1/nodeports/" + port,
	}
}

// TestHeldClaimsBelongToTheServer writes to held claims, in every way there is,
// what only the server may write.
func TestHeldClaimsBelongToTheServer(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges("20000-20999", "10.96.0.0/16"))
	ctx, server := t.Context(), replicas[0]
	if _, err := servicesOf(server).Create(ctx, serviceWith("web", onNodePort(20500), onAddresses("10.96.5.5")),
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	client := server.Client.PortolanV1().RESTClient()
	const owner = `[{"apiVersion":"v1","kind":"Pod","name":"p","uid":"p"}]`
	for _, path := range claimPaths("10.96.5.5", "20500") {
		before := getJSON(t, client, path)
		for _, test := range []struct {
			name, merge, jsonPatch string
			// addressOnly is about what the claim on a port doesn't have.
			addressOnly bool
		}{
			{"finalizer", `{"metadata":{"finalizers":["example.com/f"]}}`, `[{"op":"add","path":"/metadata/finalizers","value":["example.com/f"]}]`,
				false},
			{"owner", `{"metadata":{"ownerReferences":` + owner + `}}`, `[{"op":"add","path":"/metadata/ownerReferences","value":` + owner + `}]`,
				false},
			{"label stripped", `{"metadata":{"labels":{"ipaddress.kubernetes.io/managed-by":null}}}`,
				`[{"op":"remove","path":"/metadata/labels/ipaddress.kubernetes.io~1managed-by"}]`, true},
			{"labels stripped", `{"metadata":{"labels":null}}`, `[{"op":"remove","path":"/metadata/labels"}]`, true},
			{"label changed", `{"metadata":{"labels":{"ipaddress.kubernetes.io/ip-family":"IPv6"}}}`,
				`[{"op":"replace","path":"/metadata/labels/ipaddress.kubernetes.io~1ip-family","value":"IPv6"}]`, true},
		} {
			if test.addressOnly == (path == claimPaths("10.96.5.5", "20500")[2]) {
				continue
			}
			what := test.name + " of " + path
			err := client.Patch(types.MergePatchType).AbsPath(path).Body([]byte(test.merge)).Do(ctx).Error()
			expectConflict(t, "merge patch, "+what, err, "is held by services", "/default/web", "while the Service holds")
			err = client.Patch(types.MergePatchType).AbsPath(path).Param("dryRun", "All").Body([]byte(test.merge)).Do(ctx).Error()
			expectConflict(t, "dry run, "+what, err, "while the Service holds")
			err = client.Patch(types.JSONPatchType).AbsPath(path).Body([]byte(test.jsonPatch)).Do(ctx).Error()
			expectConflict(t, "JSON patch, "+what, err, "while the Service holds")
			err = client.Put().AbsPath(path).Body(mustMerge(t, before, test.merge)).Do(ctx).Error()
			expectConflict(t, "put, "+what, err, "while the Service holds")
		}
		applied := mustMerge(t, map[string]any{"apiVersion": before["apiVersion"], "kind": before["kind"],
			"metadata": map[string]any{"name": before["metadata"].(map[string]any)["name"]}},
			`{"metadata":{"finalizers":["example.com/f"]}}`)
		err := client.Patch(types.ApplyPatchType).AbsPath(path).Param("fieldManager", "x").Param("force", "true").Body(applied).Do(ctx).Error()
		expectConflict(t, "apply, finalizer of "+path, err, "while the Service holds")
		for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground,
			metav1.DeletePropagationOrphan} {
			err := client.Delete().AbsPath(path).Body(&metav1.DeleteOptions{PropagationPolicy: &policy}).Do(ctx).Error()
			expectConflict(t, string(policy)+" delete of "+path, err, "is held by services")
		}
		if err := client.Patch(types.MergePatchType).AbsPath(path +
			"/status").Body([]byte(`{"metadata":{"finalizers":["example.com/f"]}}`)).Do(ctx).Error(); !apierrors.IsNotFound(err) {
			t.Errorf("status of %s: %v, want a 404", path, err)
		}
		// A writer keeps its own labels and annotations.
		body := []byte(`{"metadata":{"labels":{"a":"b"},"annotations":{"c":"d"}}}`)
		if err := client.Patch(types.MergePatchType).AbsPath(path).Body(body).Do(ctx).Error(); err != nil {
			t.Errorf("label and annotation of %s: %v", path, err)
		}
	}
	expectQuiet(t, store)
}

func getJSON(t *testing.T, client rest.Interface, path string) map[string]any {
	t.Helper()
	raw, err := client.Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

// mustMerge is an object with a merge patch of its metadata carried out.
func mustMerge(t *testing.T, object map[string]any, patch string) []byte {
	t.Helper()
	merged, err := mergePatched(object, patch)
	if err != nil {
		t.Fatal(err)
	}
	return merged
}

func mergePatched(object map[string]any, patch string) ([]byte, error) {
	var change map[string]any
	if err := json.Unmarshal([]byte(patch), &change); err != nil {
		return nil, err
	}
	return json.Marshal(merge(object, change))
}

func merge(into, change map[string]any) map[string]any {
	result := map[string]any{}
	maps.Copy(result, into)
	for key, value := range change {
		switch value := value.(type) {
		case nil:
			delete(result, key)
		case map[string]any:
			inner, _ := result[key].(map[string]any)
			result[key] = merge(inner, value)
		default:
			result[key] = value
		}
	}
	return result
}

// TestHostileWriterOfClaims has writers do to held claims whatever comes to
// their mind while the Services change, are deleted and are made again. However
// that goes, the store is consistent, and the Services' deletion leaves nothing.
func TestHostileWriterOfClaims(t *testing.T) {
	t.Parallel()
	const services, rounds, writers = 4, 25, 6
	store, replicas := framework.Replicas(t, 2, withRanges("20000-20999", "10.96.0.0/24", "fd00::/112"))
	seed := framework.Seed(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var hostile, owners sync.WaitGroup
	for i := range writers {
		hostile.Go(func() {
			w := claimWriter{t: t, random: framework.Random(seed, i), client: replicas[i%2].Client.PortolanV1().RESTClient()}
			for ctx.Err() == nil {
				w.write(ctx)
			}
		})
	}
	for i := range services {
		owners.Go(func() {
			random := framework.Random(seed, 100+i)
			for range rounds {
				changeService(t, replicas[random.IntN(2)], fmt.Sprintf("svc-%d", i), random)
			}
		})
	}
	owners.Wait()
	// Those that are left go while the writers go on.
	for i := range services {
		if err := servicesOf(replicas[i%2]).Delete(t.Context(), fmt.Sprintf("svc-%d", i), metav1.DeleteOptions{}); err != nil &&
			!apierrors.IsNotFound(err) {
			t.Errorf("delete under attack: %v", err)
		}
	}
	stop()
	hostile.Wait()
	expectQuiet(t, store)
	for _, resource := range []string{"ipaddresses", "nodeports"} {
		left, err := store.Client.Get(t.Context(), "/registry/portolan.dev/"+resource+"/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil || len(left.Kvs) > 0 {
			t.Errorf("%s that are left: %v, %v", resource, left, err)
		}
	}
	expectAllocated(t, replicas, []int64{0, 0}, 0)
}

// changeService makes a Service, changes what it claims, or deletes it.
func changeService(t *testing.T, server *framework.Server, name string, random *rand.Rand) {
	ctx, client := t.Context(), servicesOf(server)
	svc, err := client.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		policy := corev1.IPFamilyPolicyPreferDualStack
		svc = serviceWith(name, onNodePort(0))
		svc.Spec.IPFamilyPolicy = &policy
		_, err = client.Create(ctx, svc, metav1.CreateOptions{})
	case err != nil:
	case random.IntN(4) == 0:
		err = client.Delete(ctx, name, metav1.DeleteOptions{})
	default:
		ports := []corev1.ServicePort{{Name: "a", Port: 80, Protocol: corev1.ProtocolTCP, NodePort: svc.Spec.Ports[0].NodePort}}
		if random.IntN(2) == 0 {
			ports = append(ports, corev1.ServicePort{Name: "b", Port: 80, Protocol: corev1.ProtocolUDP, NodePort: ports[0].NodePort})
		}
		if random.IntN(2) == 0 {
			ports = append(ports, corev1.ServicePort{Name: "c", Port: 81, Protocol: corev1.ProtocolTCP})
		}
		svc.Spec.Ports = ports
		_, err = client.Update(ctx, svc, metav1.UpdateOptions{})
	}
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
		t.Errorf("change of %s under attack: %v", name, err)
	}
}

// claimWriter writes to claims at random.
type claimWriter struct {
	t      *testing.T
	random *rand.Rand
	client rest.Interface
}

// write does one thing to a claim that there is.
func (w claimWriter) write(ctx context.Context) {
	collections := []string{"/apis/portolan.dev/v1/ipaddresses", "/apis/networking.k8s.io/v1/ipaddresses", "/apis/portolan.dev/v1/nodeports"}
	collection := collections[w.random.IntN(len(collections))]
	raw, err := w.client.Get().AbsPath(collection).Param("resourceVersion", "0").SetHeader("Accept", "application/json").DoRaw(ctx)
	if err != nil {
		w.check(ctx, "list", err)
		return
	}
	var list struct {
		APIVersion, Kind string
		Items            []map[string]any
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		w.t.Error(err)
		return
	}
	if len(list.Items) == 0 {
		return
	}
	claim := list.Items[w.random.IntN(len(list.Items))]
	claim["apiVersion"], claim["kind"] = list.APIVersion, list.Kind[:len(list.Kind)-len("List")]
	name := claim["metadata"].(map[string]any)["name"].(string)
	path := collection + "/" + name
	n := w.random.IntN(1000)
	bodies := []string{
		fmt.Sprintf(`{"metadata":{"finalizers":["example.com/f-%d"]}}`, n),
		`{"metadata":{"finalizers":null}}`,
		fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p-%d","uid":"u","blockOwnerDeletion":true,"controller":true}]}}`, n),
		`{"metadata":{"labels":null}}`,
		`{"metadata":{"labels":{"ipaddress.kubernetes.io/managed-by":null,"ipaddress.kubernetes.io/ip-family":"x"}}}`,
		fmt.Sprintf(`{"metadata":{"labels":{"mine":"%d"},"annotations":{"a":"%d"}}}`, n, n),
		fmt.Sprintf(`{"metadata":{"annotations":{"a":"%0*d"}}}`, 1+n*6, n),
		`{"spec":{"protocols":["SCTP"]}}`,
		`{"spec":{"parentRef":{"uid":null}}}`,
		fmt.Sprintf(`{"spec":{"parentRef":{"resource":"services","namespace":"default","name":"svc-0","uid":"%d"}}}`, n),
		`{"metadata":{"deletionTimestamp":"2020-01-01T00:00:00Z","deletionGracePeriodSeconds":0}}`,
		`{"metadata":{"uid":"other","resourceVersion":"1"}}`,
	}
	body := bodies[w.random.IntN(len(bodies))]
	var request *rest.Request
	switch w.random.IntN(6) {
	case 0:
		merged, err := mergePatched(claim, body)
		if err != nil {
			w.t.Error(err)
			return
		}
		request = w.client.Put().AbsPath(path).Body(merged)
	case 1:
		applied, err := mergePatched(map[string]any{"apiVersion": claim["apiVersion"], "kind": claim["kind"],
			"metadata": map[string]any{"name": name}}, body)
		if err != nil {
			w.t.Error(err)
			return
		}
		request = w.client.Patch(types.ApplyPatchType).AbsPath(path).Param("force", "true").Param("fieldManager",
			fmt.Sprintf("m-%d", n)).Body(applied)
	case 2:
		policies := []metav1.DeletionPropagation{
			metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan,
		}
		request = w.client.Delete().AbsPath(path).Body(&metav1.DeleteOptions{PropagationPolicy: &policies[w.random.IntN(3)]})
	case 3:
		request = w.client.Delete().AbsPath(collection)
	default:
		request = w.client.Patch(types.MergePatchType).AbsPath(path).Body([]byte(body))
	}
	w.check(ctx, body, request.Do(ctx).Error())
}

// check wants a refusal to be the writer's fault.
func (w claimWriter) check(ctx context.Context, what string, err error) {
	known := []func(error) bool{apierrors.IsConflict, apierrors.IsInvalid, apierrors.IsNotFound, apierrors.IsBadRequest,
		apierrors.IsTooManyRequests}
	if err == nil || ctx.Err() != nil || slices.ContainsFunc(known, func(is func(error) bool) bool { return is(err) }) {
		return
	}
	w.t.Errorf("%s: %v", what, err)
}
