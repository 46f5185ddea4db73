package loadbalancer

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/service"
)

// Addresses of the pools, each of which has one of a family.
const (
	public4, public6 = "192.0.2.1", "2001:db8::1"
	other4           = "198.51.100.1"
	internal4        = "203.0.113.1"
	half4            = "198.51.100.2"
	taken4, taken6   = "192.0.2.9", "2001:db8::9"
)

// newIndex has the pool "public", which serves all Services without a class. "other" is for
// Services that name it. So are "full", whose address another Service has, and "half", of which
// another Service has the IPv6 address. "internal" is for the class internal and the label team=a.
func newIndex(t *testing.T) *allocation.Index {
	t.Helper()
	index := allocation.New(time.Now)
	set := func(name, address string, policy allocation.Policy) {
		value := allocation.LoadBalancerAddress(netip.MustParseAddr(address))
		index.SetRange(value.Class, allocation.Range{
			Name: name, Revision: 1, Usable: true, Policy: policy,
			Blocks: []allocation.Block{{Text: address, Span: space.Span{First: value.Number, Last: value.Number}}},
		})
	}
	set("public", public4, allocation.Policy{})
	set("public", public6, allocation.Policy{})
	set("other", other4, allocation.Policy{Mode: allocation.OnRequest})
	set("full", taken4, allocation.Policy{Mode: allocation.OnRequest})
	set("half", half4, allocation.Policy{Mode: allocation.OnRequest})
	set("half", taken6, allocation.Policy{Mode: allocation.OnRequest})
	set("internal", internal4, allocation.Policy{LoadBalancerClass: "internal", Services: labels.SelectorFromSet(labels.Set{"team": "a"})})
	holder := v1.ParentReference{Resource: "services", Namespace: "default", Name: "holder", UID: "holder"}
	for _, taken := range []string{taken4, taken6} {
		index.Observe(allocation.LoadBalancerAddress(netip.MustParseAddr(taken)), allocation.Claim{Holder: holder, Revision: 2})
	}
	return index
}

// newService returns a Service of type LoadBalancer with IPv4 addresses, changed.
func newService(change func(*v1.Service)) *v1.Service {
	svc := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "web"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
	if change != nil {
		change(svc)
	}
	return svc
}

// annotated adds an annotation.
func annotated(name, value string) func(*v1.Service) {
	return func(svc *v1.Service) { svc.Annotations = map[string]string{name: value} }
}

// inFamilies sets the policy and the families.
func inFamilies(policy corev1.IPFamilyPolicy, families ...corev1.IPFamily) func(*v1.Service) {
	return func(svc *v1.Service) { svc.Spec.IPFamilyPolicy, svc.Spec.IPFamilies = &policy, families }
}

// with makes several changes.
func with(changes ...func(*v1.Service)) func(*v1.Service) {
	return func(svc *v1.Service) {
		for _, change := range changes {
			change(svc)
		}
	}
}

func given(addresses ...string) func(*v1.Service) {
	return func(svc *v1.Service) {
		for _, address := range addresses {
			svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: address})
		}
	}
}

// holding gives the Service addresses of a pool.
func holding(addresses ...string) func(*v1.Service) {
	return func(svc *v1.Service) {
		given(addresses...)(svc)
		svc.Status.Conditions = []metav1.Condition{{
			Type: v1.ServiceConditionLoadBalancerAddress, Status: metav1.ConditionTrue, Reason: v1.ReasonAllocated,
		}}
	}
}

// outcome is the plugin's decision.
type outcome struct {
	// decided is true if there is a status. It has these addresses, and the reason of the
	// condition, which is empty if another controller serves the Service.
	decided   bool
	addresses string
	reason    string
	// rejection is a part of the error that the Service is rejected with.
	rejection string
}

func decide(t *testing.T, svc, stored *v1.Service) outcome {
	t.Helper()
	index := newIndex(t)
	if stored != nil {
		for _, address := range service.LoadBalancerAddresses(stored) {
			holder := service.LoadBalancerHolder(stored)
			index.Observe(allocation.LoadBalancerAddress(address), allocation.Claim{
				Holder:   v1.ParentReference{Resource: "services", Namespace: holder.Namespace, Name: holder.Name, UID: holder.UID},
				Revision: 3, Shared: &v1.LoadBalancerIPSpec{Holders: []v1.LoadBalancerIPHolder{holder}},
			})
		}
	}
	plugin := New()
	plugin.SetLedger(&claims.Ledger{Index: index}, func() bool { return true })
	ctx, picks := requeststate.NewPicks(t.Context(), index)
	defer picks.End()
	attributes := admission.NewAttributesRecord(svc, nil, v1.SchemeGroupVersion.WithKind("Service"), "default", "web",
		v1.SchemeGroupVersion.WithResource("services"), "", admission.Create, &metav1.CreateOptions{}, false, nil)
	if stored != nil {
		attributes = admission.NewAttributesRecord(svc, stored, v1.SchemeGroupVersion.WithKind("Service"), "default", "web",
			v1.SchemeGroupVersion.WithResource("services"), "", admission.Update, &metav1.UpdateOptions{}, false, nil)
	}
	if err := plugin.Admit(ctx, attributes, nil); err != nil {
		if !apierrors.IsInvalid(err) {
			t.Fatal(err)
		}
		return outcome{rejection: err.Error()}
	}
	if cause := picks.Rejection(); cause != nil {
		return outcome{rejection: cause.Error()}
	}
	status := picks.Status()
	if status == nil {
		return outcome{}
	}
	var addresses []string
	for _, address := range service.IngressAddresses(status) {
		addresses = append(addresses, address.String())
	}
	o := outcome{decided: true, addresses: strings.Join(addresses, ",")}
	if condition := meta.FindStatusCondition(status.Conditions, v1.ServiceConditionLoadBalancerAddress); condition != nil {
		o.reason = condition.Reason
	}
	return o
}

// decision is a case: a Service that is created or, if updated is set, stored already. Both
// functions change the Service of newService.
type decision struct {
	updated     bool
	svc, stored func(*v1.Service)
	want        outcome
}

func runDecisions(t *testing.T, decisions map[string]decision) {
	t.Helper()
	for name, d := range decisions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stored *v1.Service
			if d.updated {
				stored = newService(d.stored)
			}
			got := decide(t, newService(d.svc), stored)
			if strings.Contains(got.rejection, d.want.rejection) && d.want.rejection != "" {
				got.rejection = d.want.rejection
			}
			if got != d.want {
				t.Errorf("got %+v, want %+v", got, d.want)
			}
		})
	}
}

func allocated(addresses ...string) outcome {
	return outcome{decided: true, addresses: strings.Join(addresses, ","), reason: v1.ReasonAllocated}
}

const (
	named   = v1.LoadBalancerIPsAnnotation
	inPool  = v1.LoadBalancerPoolAnnotation
	metallb = "metallb.io/loadBalancerIPs"
)

// TestCreate decides about new Services.
func TestCreate(t *testing.T) {
	t.Parallel()
	four, six := corev1.IPv4Protocol, corev1.IPv6Protocol
	runDecisions(t, map[string]decision{
		"any address":       {want: allocated(public4)},
		"another type":      {svc: func(svc *v1.Service) { svc.Spec.Type = corev1.ServiceTypeNodePort }},
		"being deleted":     {svc: func(svc *v1.Service) { svc.DeletionTimestamp = &metav1.Time{} }},
		"a class of others": {svc: func(svc *v1.Service) { svc.Spec.LoadBalancerClass = ptr.To("cloud") }},
		"not selected": {
			svc:  func(svc *v1.Service) { svc.Spec.LoadBalancerClass = ptr.To("internal") },
			want: outcome{decided: true},
		},
		"selected": {
			svc: func(svc *v1.Service) {
				svc.Spec.LoadBalancerClass, svc.Labels = ptr.To("internal"), map[string]string{"team": "a"}
			},
			want: allocated(internal4),
		},
		"a named address":                {svc: annotated(named, other4), want: allocated(other4)},
		"an address that MetalLB serves": {svc: annotated(metallb, other4), want: allocated(other4)},
		"the field":                      {svc: func(svc *v1.Service) { svc.Spec.LoadBalancerIP = public4 }, want: allocated(public4)},
		"two names of one thing": {
			svc: func(svc *v1.Service) {
				svc.Spec.LoadBalancerIP, svc.Annotations = public4, map[string]string{named: other4}
			},
			want: outcome{rejection: "must name the same addresses as spec.loadBalancerIP"},
		},
		"not an address": {svc: annotated(named, "web"), want: outcome{rejection: `"web" is not one`}},
		"of a family that it lacks": {
			svc:  annotated(named, public6),
			want: outcome{rejection: "the Service has no IPv6 addresses (spec.ipFamilies)"},
		},
		"a named pool":   {svc: annotated(inPool, "other"), want: allocated(other4)},
		"an absent pool": {svc: annotated(inPool, "none"), want: outcome{rejection: `"none"`}},
		"a full pool": {
			svc:  annotated(inPool, "full"),
			want: outcome{decided: true, reason: v1.ReasonPoolFull},
		},
		"two families": {svc: inFamilies(corev1.IPFamilyPolicyRequireDualStack, six, four), want: allocated(public6, public4)},
		"two families, and a pool of one": {
			svc:  with(inFamilies(corev1.IPFamilyPolicyRequireDualStack, four, six), annotated(inPool, "other")),
			want: outcome{decided: true, reason: v1.ReasonAddressUnavailable},
		},
		"two families if possible, and a pool of one": {
			svc:  with(inFamilies(corev1.IPFamilyPolicyPreferDualStack, four, six), annotated(inPool, "other")),
			want: allocated(other4),
		},
		"two families, and a pool that is full of one": {
			svc:  with(inFamilies(corev1.IPFamilyPolicyRequireDualStack, four, six), annotated(inPool, "half")),
			want: outcome{decided: true, reason: v1.ReasonPoolFull},
		},
		"two families if possible, and a pool that is full of one": {
			svc:  with(inFamilies(corev1.IPFamilyPolicyPreferDualStack, four, six), annotated(inPool, "half")),
			want: outcome{decided: true, addresses: half4, reason: v1.ReasonPartlyAllocated},
		},
	})
}

// TestUpdate decides about Services that are stored already.
func TestUpdate(t *testing.T) {
	t.Parallel()
	four, six := corev1.IPv4Protocol, corev1.IPv6Protocol
	notLoadBalancer := func(svc *v1.Service) { svc.Spec.Type = corev1.ServiceTypeClusterIP }
	runDecisions(t, map[string]decision{
		"keeps its address":                  {updated: true, stored: holding(public4), want: allocated(public4)},
		"keeps an address of a pool it left": {updated: true, stored: holding(other4), want: allocated(other4)},
		"gets one at last":                   {updated: true, want: allocated(public4)},
		"names another pool": {
			updated: true, stored: holding(public4), svc: annotated(inPool, "other"), want: allocated(other4),
		},
		"names another address": {
			updated: true, stored: holding(public4), svc: annotated(named, other4), want: allocated(other4),
		},
		"names a full pool": {
			updated: true, stored: holding(public4), svc: annotated(inPool, "full"),
			want: outcome{rejection: "the Service can't keep 192.0.2.1, and there is no other"},
		},
		"waits for its second family": {
			updated: true, stored: holding(half4),
			svc:  with(inFamilies(corev1.IPFamilyPolicyRequireDualStack, four, six), annotated(inPool, "half")),
			want: outcome{decided: true, addresses: half4, reason: v1.ReasonPartlyAllocated},
		},
		"gets its second family": {
			updated: true, stored: holding(public4), svc: inFamilies(corev1.IPFamilyPolicyPreferDualStack, four, six),
			want: allocated(public4, public6),
		},
		"becomes one of another type": {updated: true, stored: holding(public4), svc: notLoadBalancer},
		"is served by another controller": {
			updated: true, stored: given("10.0.0.1"), want: outcome{decided: true, addresses: "10.0.0.1"},
		},
		"takes over what another controller has given": {updated: true, stored: given(public4), want: allocated(public4)},
		"keeps what another controller has given while it waits": {
			updated: true, stored: given(half4),
			svc:  with(inFamilies(corev1.IPFamilyPolicyRequireDualStack, four, six), annotated(inPool, "half")),
			want: outcome{decided: true, addresses: half4, reason: v1.ReasonPoolFull},
		},
		"keeps two of a family": {
			updated: true, stored: given(public4, other4), want: outcome{decided: true, addresses: public4 + "," + other4},
		},
		"waits on for a taken address that it has named": {
			updated: true, stored: annotated(named, taken4), svc: annotated(named, taken4),
			want: outcome{decided: true, reason: v1.ReasonAddressUnavailable},
		},
		"was invalid before there was a pool": {updated: true, stored: annotated(named, "web"), svc: annotated(named, "web")},
	})
}

// TestUIDOfUpdate decides about an update without a UID for the stored Service.
func TestUIDOfUpdate(t *testing.T) {
	t.Parallel()
	svc := newService(func(svc *v1.Service) { svc.UID = "" })
	if got := decide(t, svc, newService(holding(public4))); got != allocated(public4) || svc.UID != "web" {
		t.Errorf("got %+v for %q", got, svc.UID)
	}
}
