package api

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// boats are the custom resources of these tests.
var boats = schema.GroupVersionResource{Group: "harbor.example.com", Version: "v1", Resource: "boats"}

// boatDefinition defines boats: with a default, a rule, a status, a scale and a column.
func boatDefinition() *apiextensionsv1.CustomResourceDefinition {
	number := apiextensionsv1.JSONSchemaProps{Type: "integer"}
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: boats.GroupResource().String()},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: boats.Group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Plural: boats.Resource, Singular: "boat", Kind: "Boat", ListKind: "BoatList", ShortNames: []string{"bt"},
			},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: boats.Version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", Description: "A boat floats.", Properties: map[string]apiextensionsv1.JSONSchemaProps{
						"spec": {
							Type: "object",
							Properties: map[string]apiextensionsv1.JSONSchemaProps{
								"masts": {Type: "integer", Default: &apiextensionsv1.JSON{Raw: []byte("1")}}, "sails": number,
							},
							XValidations: apiextensionsv1.ValidationRules{{
								Rule: "!has(self.sails) || self.sails <= 3 * self.masts", Message: "a mast has three sails",
							}},
						},
						"status": {Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"crew": number}},
					},
				}},
				Subresources: &apiextensionsv1.CustomResourceSubresources{
					Status: &apiextensionsv1.CustomResourceSubresourceStatus{},
					Scale:  &apiextensionsv1.CustomResourceSubresourceScale{SpecReplicasPath: ".spec.sails", StatusReplicasPath: ".status.crew"},
				},
				AdditionalPrinterColumns: []apiextensionsv1.CustomResourceColumnDefinition{{Name: "Masts", Type: "integer", JSONPath: ".spec.masts"}},
			}},
		},
	}
}

func boat(name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": boats.GroupVersion().String(), "kind": "Boat", "metadata": map[string]any{"name": name}, "spec": spec,
	}}
}

func definitionsOf(t *testing.T, s *framework.Server) *clientset.Clientset {
	t.Helper()
	client, err := clientset.NewForConfig(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func dynamicOf(t *testing.T, s *framework.Server) dynamic.Interface {
	t.Helper()
	client, err := dynamic.NewForConfig(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// define creates a definition and waits until its kind is served.
func define(t *testing.T, s *framework.Server, definition *apiextensionsv1.CustomResourceDefinition) {
	t.Helper()
	client := definitionsOf(t, s).ApiextensionsV1().CustomResourceDefinitions()
	if _, err := client.Create(t.Context(), definition, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitServed(t, s, definition.Name)
}

func awaitServed(t *testing.T, s *framework.Server, name string) {
	t.Helper()
	client := definitionsOf(t, s).ApiextensionsV1().CustomResourceDefinitions()
	framework.Eventually(t, name+" is served", func(ctx context.Context) (bool, error) {
		definition, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(definition.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
			return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
		})
		return i >= 0, fmt.Errorf("its status is %+v", definition.Status)
	})
	framework.Eventually(t, name+" is discovered", func(context.Context) (bool, error) {
		_, err := definitionsOf(t, s).Discovery().ServerResourcesForGroupVersion(boats.GroupVersion().String())
		return err == nil, err
	})
}

// TestCustomResources follows objects of a kind that a user defines.
func TestCustomResources(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := framework.Start(t, nil)
	define(t, s, boatDefinition())
	client := dynamicOf(t, s).Resource(boats).Namespace("default")

	made, err := client.Create(ctx, boat("argo", map[string]any{"unknown": true}), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if spec, _, _ := unstructured.NestedMap(made.Object, "spec"); len(spec) != 1 || spec["masts"] != int64(1) {
		t.Errorf("made with the spec %v", spec)
	}
	w, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: made.GetResourceVersion()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	_, err = client.Create(ctx, boat("ark", map[string]any{"sails": int64(4)}), metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "a mast has three sails") {
		t.Errorf("four sails: %v", err)
	}

	status := []byte(`{"spec":{"masts":9},"status":{"crew":50}}`)
	manned, err := client.Patch(ctx, "argo", types.MergePatchType, status, metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
	if crew, _, _ := unstructured.NestedInt64(manned.Object, "status", "crew"); crew != 50 {
		t.Errorf("after a patch of the status: %v", manned.Object)
	}
	if masts, _, _ := unstructured.NestedInt64(manned.Object, "spec", "masts"); masts != 1 {
		t.Errorf("a patch of the status changed the spec: %v", manned.Object)
	}
	scaled, err := client.Patch(ctx, "argo", types.MergePatchType, []byte(`{"spec":{"replicas":2}}`), metav1.PatchOptions{}, "scale")
	if err != nil {
		t.Fatal(err)
	}
	var scale autoscalingv1.Scale
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(scaled.Object, &scale); err != nil || scale.Spec.Replicas != 2 ||
		scale.Status.Replicas != 50 {
		t.Errorf("scaled to %+v, error %v", scale, err)
	}
	applied := boat("argo", map[string]any{"masts": int64(2)})
	if _, err := client.Apply(ctx, "argo", applied, metav1.ApplyOptions{FieldManager: "one"}); !apierrors.IsConflict(err) {
		t.Errorf("an apply over another manager's field: %v", err)
	}
	if _, err := client.Apply(ctx, "argo", applied, metav1.ApplyOptions{FieldManager: "one", Force: true}); err != nil {
		t.Error(err)
	}
	for range 3 {
		if event := <-w.ResultChan(); event.Type != watch.Modified {
			t.Errorf("watched %v", event)
		}
	}
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].GetKind() != "Boat" {
		t.Errorf("listed %v, error %v", list, err)
	}
	if err := client.Delete(ctx, "argo", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Error(err)
	}
	if err := client.Delete(ctx, "argo", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if event := <-w.ResultChan(); event.Type != watch.Deleted {
		t.Errorf("watched %v", event)
	}
}

// TestCustomResourcesAreDiscovered finds a kind that a user defines where clients look for
// kinds, beside the server's own ones, until its definition is deleted.
func TestCustomResourcesAreDiscovered(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	define(t, s, boatDefinition())
	// Clients without aggregated discovery read the list of groups.
	listed := func(ctx context.Context) (bool, error) {
		var groups metav1.APIGroupList
		err := definitionsOf(t, s).Discovery().RESTClient().Get().AbsPath("/apis").SetHeader("Accept", "application/json").Do(ctx).Into(&groups)
		i := slices.IndexFunc(groups.Groups, func(group metav1.APIGroup) bool { return group.Name == boats.Group })
		return i >= 0 && groups.Groups[i].PreferredVersion.Version == boats.Version, err
	}
	framework.Await(t, "the group is listed", listed)
	has := func(path, text string) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			body, err := definitionsOf(t, s).Discovery().RESTClient().Get().AbsPath(path).Do(ctx).Raw()
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			return strings.Contains(string(body), text), err
		}
	}
	const document = "/openapi/v3/apis/harbor.example.com/v1"
	framework.Await(t, "the OpenAPI v3 document has the kind", has(document, "A boat floats."))
	framework.Await(t, "the OpenAPI v2 document has the kind", has("/openapi/v2", "A boat floats."))
	for path, text := range map[string]string{
		"/openapi/v3/api/v1":                       "io.k8s.api.core.v1.Service",
		"/openapi/v3/apis/apiextensions.k8s.io/v1": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
		"/openapi/v2":                              "dev.portolan.v1.NodePortRange",
	} {
		if found, err := has(path, text)(t.Context()); !found || err != nil {
			t.Errorf("%s has no %s, error %v", path, text, err)
		}
	}

	if err := definitionsOf(t, s).ApiextensionsV1().CustomResourceDefinitions().Delete(t.Context(), boats.GroupResource().String(),
		metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Await(t, "the group is listed no more", func(ctx context.Context) (bool, error) {
		found, err := listed(ctx)
		return !found, err
	})
	framework.Await(t, "the OpenAPI v3 document is gone", func(ctx context.Context) (bool, error) {
		err := definitionsOf(t, s).Discovery().RESTClient().Get().AbsPath(document).Do(ctx).Error()
		return apierrors.IsNotFound(err), nil
	})
}

// TestCustomResourcesAreDeleted deletes objects with their namespace, and with their
// definition.
func TestCustomResourcesAreDeleted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := framework.Start(t, nil)
	core, all := coreClient(t, s), dynamicOf(t, s).Resource(boats)
	define(t, s, boatDefinition())
	newNamespace(t, core, "lagoon")
	for _, namespace := range []string{"lagoon", "default"} {
		if _, err := all.Namespace(namespace).Create(ctx, boat("argo", map[string]any{}), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := core.CoreV1().Namespaces().Delete(ctx, "lagoon", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Await(t, "the namespace is gone", gone(core, "lagoon"))
	if list, err := all.List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) != 1 || list.Items[0].GetNamespace() != "default" {
		t.Errorf("left are %v, error %v", list, err)
	}

	definitions := definitionsOf(t, s).ApiextensionsV1().CustomResourceDefinitions()
	if err := definitions.Delete(ctx, boats.GroupResource().String(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Await(t, "the definition is gone", func(ctx context.Context) (bool, error) {
		_, err := definitions.Get(ctx, boats.GroupResource().String(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
	define(t, s, boatDefinition())
	framework.Await(t, "the kind is served again, without objects", func(ctx context.Context) (bool, error) {
		list, err := all.List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil && len(list.Items) == 0, err
	})
}

// TestCustomResourcesSurvive wants a restarted server to serve the kind and its objects.
func TestCustomResourcesSurvive(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	define(t, s, boatDefinition())
	made, err := dynamicOf(t, s).Resource(boats).Namespace("default").Create(t.Context(), boat("argo", map[string]any{}),
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	again := framework.Start(t, s.Again(t))
	found, err := dynamicOf(t, again).Resource(boats).Namespace("default").Get(t.Context(), "argo", metav1.GetOptions{})
	if err != nil || found.GetUID() != made.GetUID() || found.GetResourceVersion() != made.GetResourceVersion() {
		t.Errorf("found %v, error %v", found, err)
	}
}

// TestCustomResourcesAreEncrypted stores an object in plain text, and has the command migrate
// encrypt it. The servers of an external etcd may be several, so the kind is served a few
// seconds after it was defined.
func TestCustomResourcesAreEncrypted(t *testing.T) {
	t.Parallel()
	etcd := framework.StartEtcd(t)
	s := framework.Start(t, framework.On(etcd))
	define(t, s, boatDefinition())
	if _, err := dynamicOf(t, s).Resource(boats).Namespace("default").Create(t.Context(), boat("argo", map[string]any{}),
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	config := encryptionFile(t, "  - identity: {}\n")
	out, stderr, err := framework.Command(t, "migrate", "--etcd-servers="+etcd.URL, "--encryption-provider-config="+config)
	if found := regexp.MustCompile(`(?m)^boats\.harbor\.example\.com +1 +1 +0 +0$`).MatchString(out); !found || err != nil {
		t.Errorf("migrate: %v\n%s%s", err, out, stderr)
	}
	expectEncrypted(t, etcd, "/registry/portolan.dev/customresources/harbor.example.com/boats/default/")
	again := framework.Start(t, func(o *options.Options) {
		framework.On(etcd)(o)
		o.Etcd.EncryptionProviderConfigFilepath = config
	})
	if _, err := dynamicOf(t, again).Resource(boats).Namespace("default").Get(t.Context(), "argo", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

// TestDefinitionsOfServedGroups wants no definition in an API group of the server's own
// kinds, and none to disturb them.
func TestDefinitionsOfServedGroups(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := framework.Start(t, nil)
	definitions := definitionsOf(t, s).ApiextensionsV1().CustomResourceDefinitions()
	for _, resource := range []schema.GroupResource{
		{Group: "portolan.dev", Resource: "services"}, {Group: "portolan.dev", Resource: "boats"},
		{Group: "networking.k8s.io", Resource: "ingresses"}, {Group: "authorization.k8s.io", Resource: "boats"},
		{Group: "apiextensions.k8s.io", Resource: "boats"},
	} {
		definition := boatDefinition()
		definition.Name, definition.Spec.Group, definition.Spec.Names.Plural = resource.String(), resource.Group, resource.Resource
		definition.Annotations = map[string]string{apiextensionsv1.KubeAPIApprovedAnnotation: "unapproved, a test"}
		_, err := definitions.Create(ctx, definition, metav1.CreateOptions{})
		want := fmt.Sprintf("spec.group: Invalid value: %q: the server has kinds of its own in this group", resource.Group)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", resource, err)
		}
	}
	list, err := definitions.List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("listed %v, error %v", list, err)
	}
	if _, err := servicesOf(s).Create(ctx, serviceWith("web"), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	// Nobody defines the kind of another group that is not served.
	var code int
	definitionsOf(t, s).Discovery().RESTClient().Get().AbsPath("/apis/none.example.com/v1/boats").Do(ctx).StatusCode(&code)
	if code != http.StatusNotFound {
		t.Errorf("a kind that nobody defines is answered with %d", code)
	}
}
