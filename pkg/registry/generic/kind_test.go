package generic

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func TestDecorator(t *testing.T) {
	var ran []string
	normalize := func(runtime.Object) { ran = append(ran, "normalize") }
	fill := func(runtime.Object) { ran = append(ran, "fill") }
	for name, test := range map[string]struct {
		rules Rules
		want  []string
	}{
		"neither":   {Rules{}, nil},
		"normalize": {Rules{Normalize: normalize}, []string{"normalize"}},
		"fill":      {Rules{Fill: fill}, []string{"fill"}},
		"both":      {Rules{Normalize: normalize, Fill: fill}, []string{"normalize", "fill"}},
	} {
		ran = nil
		decorate := test.rules.decorator()
		if (decorate == nil) != (test.want == nil) {
			t.Fatalf("%s: a decorator: %t", name, decorate != nil)
		}
		if decorate != nil {
			decorate(&v1.Service{})
		}
		if !slices.Equal(ran, test.want) {
			t.Errorf("%s: ran %v, want %v", name, ran, test.want)
		}
	}
}
