package validation

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func checkErrors(t *testing.T, got field.ErrorList, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d errors, want %d:\n%v\nwant %q", len(got), len(want), got, want)
	}
	for i := range want {
		if got[i].Error() != want[i] {
			t.Errorf("error %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}

func reservation(name string, changes ...func(*v1.ParentReference)) *v1.IPAddress {
	ref := &v1.ParentReference{Resource: "services", Namespace: "default", Name: "web"}
	for _, change := range changes {
		change(ref)
	}
	return &v1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "1"}, Spec: v1.IPAddressSpec{ParentRef: ref}}
}

func TestIPAddressCreate(t *testing.T) {
	const ipError = `must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`
	generated := reservation("10.0.0.")
	generated.GenerateName = "10.0.0."
	without := reservation("10.0.0.1")
	without.Spec.ParentRef = nil
	for name, test := range map[string]struct {
		address *v1.IPAddress
		want    []string
	}{
		"v4":            {address: reservation("10.96.0.10")},
		"v6":            {address: reservation("fd00::1")},
		"no address":    {reservation("web"), []string{`metadata.name: Invalid value: "web": ` + ipError}},
		"leading zeros": {reservation("010.0.0.1"), []string{`metadata.name: Invalid value: "010.0.0.1": must not have leading 0s`}},
		"not canonical": {
			reservation("fd00:0::1"), []string{`metadata.name: Invalid value: "fd00:0::1": must be in canonical form ("fd00::1")`},
		},
		"mapped": {
			reservation("::ffff:1.2.3.4"), []string{`metadata.name: Invalid value: "::ffff:1.2.3.4": must not be an IPv4-mapped IPv6 address`},
		},
		"generateName": {generated,
			[]string{`metadata.generateName: Invalid value: "10.0.0.": ` + ipError, `metadata.name: Invalid value: "10.0.0.": ` + ipError}},
		"no parentRef": {without, []string{`spec.parentRef: Required value`}},
		"empty parentRef": {reservation("10.0.0.1", func(ref *v1.ParentReference) { *ref = v1.ParentReference{} }),
			[]string{`spec.parentRef.resource: Required value`, `spec.parentRef.name: Required value`}},
		"cluster-scoped": {address: reservation("10.0.0.1", func(ref *v1.ParentReference) { ref.Namespace = "" })},
		"group":          {address: reservation("10.0.0.1", func(ref *v1.ParentReference) { ref.Group = "gateway.networking.k8s.io" })},
		"slash": {reservation("10.0.0.1",
			func(ref *v1.ParentReference) {
				ref.Resource, ref.Name, ref.Namespace = "a/b", "c/d",
					"e/f"
			}), []string{
			`spec.parentRef.resource: Invalid value: "a/b": may not contain '/'`,
			`spec.parentRef.name: Invalid value: "c/d": may not contain '/'`,
			`spec.parentRef.namespace: Invalid value: "e/f": may not contain '/'`,
		}},
		"uid from outside": {reservation("10.0.0.1", func(ref *v1.ParentReference) { ref.UID = "u" }),
			[]string{`spec.parentRef.uid: Forbidden: is set by the server for the Service that holds the claim`}},
	} {
		t.Run(name, func(t *testing.T) {
			checkErrors(t, ValidateIPAddressCreate(test.address, time.Unix(1e9, 0)), test.want)
		})
	}
	bad := reservation("10.0.0.1", func(ref *v1.ParentReference) { ref.Group = "a_b" })
	if errs := ValidateIPAddressCreate(bad, time.Unix(1e9, 0)); len(errs) != 1 || errs[0].Field != "spec.parentRef.group" {
		t.Errorf("bad group: %v", errs)
	}
}

func TestIPAddressUpdate(t *testing.T) {
	held := func(ref *v1.ParentReference) { ref.UID = "u" }
	removed := reservation("10.0.0.1")
	removed.Spec.ParentRef = nil
	labeled := reservation("10.0.0.1", held)
	labeled.Labels = map[string]string{"a": "b"}
	for name, test := range map[string]struct {
		address, old *v1.IPAddress
		want         []string
	}{
		"labels": {address: labeled, old: reservation("10.0.0.1", held)},
		"name": {reservation("10.0.0.1", func(ref *v1.ParentReference) { ref.Name = "api" }), reservation("10.0.0.1"),
			[]string{`spec.parentRef: Invalid value: {"Group":"","Resource":"services","Namespace":"default","Name":"api"}: field is immutable`}},
		"adopted": {reservation("10.0.0.1", held), reservation("10.0.0.1"),
			[]string{`spec.parentRef: Invalid value: {"Group":"","Resource":"services","Namespace":"default","Name":"web"}: field is immutable`}},
		"let go": {reservation("10.0.0.1"), reservation("10.0.0.1", held),
			[]string{`spec.parentRef: Invalid value: {"Group":"","Resource":"services","Namespace":"default","Name":"web"}: field is immutable`}},
		"removed": {
			removed, reservation("10.0.0.1"), []string{`spec.parentRef: Required value`, `spec.parentRef: Invalid value: null: field is immutable`},
		},
		"never there": {removed, removed, []string{`spec.parentRef: Required value`}},
	} {
		t.Run(name, func(t *testing.T) { checkErrors(t, ValidateIPAddressUpdate(test.address, test.old), test.want) })
	}
}
