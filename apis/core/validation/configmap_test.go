package validation

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func newConfigMap(text map[string]string, binary map[string][]byte) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b", ResourceVersion: "1"}, Data: text, BinaryData: binary,
	}
}

// TestConfigMap validates the keys of a ConfigMap and the size of its data.
func TestConfigMap(t *testing.T) {
	half := strings.Repeat("x", corev1.MaxSecretSize/2)
	for name, test := range map[string]struct {
		config *corev1.ConfigMap
		want   []string
	}{
		"nothing": {newConfigMap(nil, nil), nil},
		"any key": {newConfigMap(map[string]string{"a": "", "A_b-c.d": "x"}, map[string][]byte{".a": []byte("y")}), nil},
		"bad keys": {
			newConfigMap(map[string]string{"a b": "x"}, map[string][]byte{"..": []byte("y")}),
			[]string{`data[a b]: Invalid value: "a b"`, `binaryData[..]: Invalid value: ".."`},
		},
		"a key twice": {
			newConfigMap(map[string]string{"a": "x"}, map[string][]byte{"a": []byte("y")}),
			[]string{`data[a]: Invalid value: "a": duplicate of key present in binaryData`},
		},
		"as much as fits": {newConfigMap(map[string]string{"a": half}, map[string][]byte{"b": []byte(half)}), nil},
		"too much": {
			newConfigMap(map[string]string{"a": half + "x"}, map[string][]byte{"b": []byte(half)}),
			[]string{"[]: Too long: may not be more than 1048576 bytes"},
		},
	} {
		expectErrors(t, name, ValidateConfigMap(test.config), test.want...)
	}
	unnamed := newConfigMap(nil, nil)
	unnamed.Name = "A"
	expectErrors(t, "its name", ValidateConfigMap(unnamed), `metadata.name: Invalid value: "A"`)
}

// TestConfigMapUpdate changes immutable ConfigMaps and others.
func TestConfigMapUpdate(t *testing.T) {
	const forbidden = ": Forbidden: field is immutable when `immutable` is set"
	binary := map[string][]byte{"b": []byte("y")}
	for name, test := range map[string]struct {
		immutable bool
		change    func(*corev1.ConfigMap)
		want      []string
	}{
		"mutable":           {false, func(c *corev1.ConfigMap) { c.Data, c.BinaryData = nil, nil }, nil},
		"becomes immutable": {false, func(c *corev1.ConfigMap) { c.Immutable = ptr.To(true) }, nil},
		"unchanged":         {true, func(c *corev1.ConfigMap) { c.Labels = map[string]string{"a": "b"} }, nil},
		"mutable again":     {true, func(c *corev1.ConfigMap) { c.Immutable = nil }, []string{"immutable" + forbidden}},
		"explicitly so":     {true, func(c *corev1.ConfigMap) { c.Immutable = ptr.To(false) }, []string{"immutable" + forbidden}},
		"other data":        {true, func(c *corev1.ConfigMap) { c.Data = nil }, []string{"data" + forbidden}},
		"other binary data": {true, func(c *corev1.ConfigMap) { c.BinaryData = nil }, []string{"binaryData" + forbidden}},
		"a bad key": {
			false, func(c *corev1.ConfigMap) { c.Data = map[string]string{"b": ""} },
			[]string{`data[b]: Invalid value: "b": duplicate of key present in binaryData`},
		},
	} {
		old := newConfigMap(map[string]string{"a": "x"}, binary)
		if test.immutable {
			old.Immutable = ptr.To(true)
		}
		changed := old.DeepCopy()
		test.change(changed)
		expectErrors(t, name, ValidateConfigMapUpdate(changed, old), test.want...)
	}
}
