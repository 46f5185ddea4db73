package validation_test

import (
	"testing"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

func TestServiceRetention(t *testing.T) {
	const duration = `must be a duration above 0 and up to 2562047h, such as "72h" or "30m"`
	for _, test := range []struct{ key, value, want string }{
		{v1.RetainAnnotation, "true", ""},
		{v1.RetainAnnotation, "false", ""},
		{v1.RetainAnnotation, "", `metadata.annotations[portolan.dev/retain]: Unsupported value: "": supported values: "false", "true"`},
		{v1.RetainAnnotation, "True", `metadata.annotations[portolan.dev/retain]: Unsupported value: "True": supported values: "false", "true"`},
		{v1.RetainForAnnotation, "1h30m", ""},
		{v1.RetainForAnnotation, "3d", `metadata.annotations[portolan.dev/retain-for]: Invalid value: "3d": ` + duration},
		{v1.RetainForAnnotation, "0s", `metadata.annotations[portolan.dev/retain-for]: Invalid value: "0s": ` + duration},
		{v1.RetainForAnnotation, "-1h", `metadata.annotations[portolan.dev/retain-for]: Invalid value: "-1h": ` + duration},
	} {
		t.Run(test.key+"="+test.value, func(t *testing.T) {
			svc := newService(annotation(test.key, test.value))
			got := ""
			if errs := validation.ValidateServiceUpdate(svc, newService()); len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			// What is stored already is no reason to reject another change.
			if errs := validation.ValidateServiceUpdate(svc, svc.DeepCopy()); len(errs) > 0 {
				t.Errorf("stored already: %v", errs)
			}
		})
	}
}
