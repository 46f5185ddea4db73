package apigroups_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	generatedopenapi "github.com/portolan-dev/portolan/generated/openapi"
	"github.com/portolan-dev/portolan/pkg/server/apigroups"
)

// TestPodDefaultsAreApplied checks that a Pod gets every default that its schema announces.
// The Pod has one of everything, without values.
func TestPodDefaultsAreApplied(t *testing.T) {
	t.Parallel()
	var pod corev1.Pod
	fill(reflect.ValueOf(&pod).Elem())
	apigroups.NewScheme().Default(&pod)
	raw, err := json.Marshal(&pod)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	models := generatedopenapi.GetOpenAPIDefinitions(func(name string) spec.Ref { return spec.MustCreateRef("#/" + name) })
	if compared := compareDefaults(t, models, corev1.Pod{}.OpenAPIModelName(), object, "pod"); compared < 10 {
		t.Errorf("only %d defaults were compared", compared)
	}
}

// fill makes what pointers point to, and one element of each list.
func fill(value reflect.Value) {
	switch value.Interface().(type) {
	case metav1.ObjectMeta, metav1.Time, resource.Quantity, intstr.IntOrString:
		return
	}
	switch value.Kind() {
	case reflect.Struct:
		for _, field := range value.Fields() {
			fill(field)
		}
	case reflect.Pointer:
		if value.Type().Elem().Kind() == reflect.Struct {
			value.Set(reflect.New(value.Type().Elem()))
			fill(value.Elem())
		}
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Struct {
			value.Set(reflect.MakeSlice(value.Type(), 1, 1))
			fill(value.Index(0))
		}
	}
}

// compareDefaults compares an object with the defaults of its model, and returns how many
// are more than an empty value.
func compareDefaults(t *testing.T, models map[string]common.OpenAPIDefinition, model string, object map[string]any,
	path string) (compared int) {
	t.Helper()
	for name, property := range models[model].Schema.Properties {
		path, value := path+"."+name, object[name]
		if announced := property.Default; announced != nil && !isEmpty(announced) {
			compared++
			if asJSON(t, announced) != asJSON(t, value) {
				t.Errorf("%s: the default is %v, announced is %v", path, value, announced)
			}
		}
		element := property
		if property.Items != nil {
			element = *property.Items.Schema
			if list, ok := value.([]any); ok && len(list) > 0 {
				value = list[0]
			}
		}
		if child, ok := value.(map[string]any); ok {
			compared += compareDefaults(t, models, strings.TrimPrefix(element.Ref.String(), "#/"), child, path)
		}
	}
	return compared
}

// isEmpty reports whether a default is what an absent field means anyway.
func isEmpty(value any) bool {
	return reflect.ValueOf(value).IsZero() || reflect.DeepEqual(value, map[string]any{})
}

// asJSON returns a value as clients see it. Some defaults are constants of Go types.
func asJSON(t *testing.T, value any) string {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
