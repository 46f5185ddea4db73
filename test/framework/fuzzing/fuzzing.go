// Package fuzzing fills objects with random values for the tests of encoding and conversion.
package fuzzing

import (
	"reflect"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"
)

// Defaulted returns a function for each type of the scheme that fills an object and applies
// the scheme's defaults. Decoding applies them too and would otherwise return a different
// object. fuzzer.MergeFuzzerFuncs lets functions that come later replace these.
func Defaulted(scheme *runtime.Scheme) fuzzer.FuzzerFuncs {
	return func(serializer.CodecFactory) []any {
		var fill []any
		for _, kind := range scheme.AllKnownTypes() {
			signature := reflect.FuncOf([]reflect.Type{reflect.PointerTo(kind), reflect.TypeFor[randfill.Continue]()}, nil, false)
			fill = append(fill, reflect.MakeFunc(signature, func(args []reflect.Value) []reflect.Value {
				args[1].Interface().(randfill.Continue).FillNoCustom(args[0].Interface())
				scheme.Default(args[0].Interface().(runtime.Object))
				return nil
			}).Interface())
		}
		return fill
	}
}
