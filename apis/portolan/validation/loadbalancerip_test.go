package validation

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func reservedIP(name string) *v1.LoadBalancerIP {
	return &v1.LoadBalancerIP{
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "1"},
		Spec:       v1.LoadBalancerIPSpec{ParentRef: &v1.ParentReference{Resource: "services", Namespace: "default", Name: "web"}},
	}
}

func heldIP(name string, holders ...string) *v1.LoadBalancerIP {
	claim := &v1.LoadBalancerIP{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "1"}, Spec: v1.LoadBalancerIPSpec{SharingKey: "k"}}
	for _, holder := range holders {
		claim.Spec.Holders = append(claim.Spec.Holders, v1.LoadBalancerIPHolder{Namespace: "default", Name: holder, UID: "u",
			Ports: []v1.LoadBalancerIPPort{{Protocol: "TCP", Port: 80}}})
	}
	return claim
}

func TestLoadBalancerIPCreate(t *testing.T) {
	withUID := reservedIP("192.0.2.1")
	withUID.Spec.ParentRef.UID = "u"
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ending, ended := reservedIP("192.0.2.1"), reservedIP("192.0.2.1")
	ending.Spec.ExpirationTimestamp, ended.Spec.ExpirationTimestamp = &metav1.Time{Time: now.Add(time.Hour)}, &metav1.Time{Time: now}
	held := heldIP("192.0.2.1", "web")
	held.Spec.ParentRef = reservedIP("192.0.2.1").Spec.ParentRef
	for name, test := range map[string]struct {
		claim *v1.LoadBalancerIP
		want  []string
	}{
		"IPv4":  {claim: reservedIP("192.0.2.1")},
		"IPv6":  {claim: reservedIP("2001:db8::1")},
		"ends":  {claim: ending},
		"ended": {ended, []string{`spec.expirationTimestamp: Invalid value: "2026-01-01T00:00:00Z": must be in the future`}},
		"not canonical": {reservedIP("2001:DB8::1"), []string{
			`metadata.name: Invalid value: "2001:DB8::1": must be in canonical form ("2001:db8::1")`}},
		"no parentRef": {&v1.LoadBalancerIP{ObjectMeta: metav1.ObjectMeta{Name: "192.0.2.1"}}, []string{`spec.parentRef: Required value`}},
		"uid":          {withUID, []string{`spec.parentRef.uid: Forbidden: is set by the server for the Service that holds the claim`}},
		"holders": {held, []string{
			`spec.sharingKey: Forbidden: is set by the server for the Services that hold the claim`,
			`spec.holders: Forbidden: is set by the server for the Services that hold the claim`}},
	} {
		t.Run(name, func(t *testing.T) { checkErrors(t, ValidateLoadBalancerIPCreate(test.claim, now), test.want) })
	}
}

func TestLoadBalancerIPUpdate(t *testing.T) {
	other := heldIP("192.0.2.1", "web", "dns")
	other.Spec.SharingKey = "other"
	moved := reservedIP("192.0.2.1")
	moved.Spec.ParentRef.Name = "dns"
	for name, test := range map[string]struct {
		claim, old *v1.LoadBalancerIP
		want       []string
	}{
		"held, as it was": {claim: heldIP("192.0.2.1", "web"), old: heldIP("192.0.2.1", "web")},
		"held, holders": {other, heldIP("192.0.2.1", "web"), []string{
			`spec.sharingKey: Forbidden: is set by the server for the Services that hold the claim`,
			`spec.holders: Forbidden: is set by the server for the Services that hold the claim`}},
		"reservation": {moved, reservedIP("192.0.2.1"), []string{
			`spec.parentRef: Invalid value: {"Group":"","Resource":"services","Namespace":"default","Name":"dns"}: field is immutable`}},
	} {
		t.Run(name, func(t *testing.T) { checkErrors(t, ValidateLoadBalancerIPUpdate(test.claim, test.old), test.want) })
	}
}
