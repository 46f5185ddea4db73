package service_test

import (
	"encoding/json"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
	"github.com/portolan-dev/portolan/pkg/service"
)

// FuzzWriteBack applies the rules of a request to any spec. It checks that the stored result
// is still valid and does not change when it is written back, or when the client sends the
// same object again.
func FuzzWriteBack(f *testing.F) {
	for _, spec := range []string{
		`{}`, `{"ports":[{"port":80}]}`, `{"clusterIP":"None"}`, `{"type":"ExternalName","externalName":"a.example.com"}`,
		`{"type":"NodePort","ports":[{"name":"a","port":53,"protocol":"UDP"},{"name":"b","port":53}]}`,
		`{"type":"NodePort","ports":[{"name":"a","port":53,"protocol":"UDP","nodePort":30053},{"name":"b","port":53}]}`,
		`{"type":"LoadBalancer","externalTrafficPolicy":"Local","healthCheckNodePort":30100,"loadBalancerClass":"a/b","ports":[{"port":80}]}`,
		`{"type":"LoadBalancer","allocateLoadBalancerNodePorts":false,"loadBalancerSourceRanges":["10.0.0.0/8 "],"ports":[{"port":80}]}`,
		`{"ipFamilyPolicy":"RequireDualStack","ports":[{"port":80}]}`, `{"ipFamilies":["IPv6"],"ports":[{"port":80}]}`,
		`{"ipFamilyPolicy":"PreferDualStack","clusterIP":"FD00::1","clusterIPs":["FD00::1","10.0.0.1"],"ports":[{"port":80}]}`,
		`{"clusterIP":"None","ipFamilyPolicy":"SingleStack","selector":{"a":"b"},"ports":[{"port":80}]}`,
		`{"sessionAffinity":"ClientIP","externalIPs":["192.0.2.1"],"trafficDistribution":"PreferClose","ports":[{"port":80,"targetPort":"web","appProtocol":"http"}]}`,
	} {
		f.Add([]byte(spec), uint8(0))
		f.Add([]byte(spec), uint8(1))
		f.Add([]byte(spec), uint8(2))
	}
	clusters := [][]corev1.IPFamily{
		{corev1.IPv4Protocol}, {corev1.IPv6Protocol}, {corev1.IPv4Protocol, corev1.IPv6Protocol}, {corev1.IPv6Protocol, corev1.IPv4Protocol}, nil,
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		cluster := clusters[int(which)%len(clusters)]
		sent := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"}}
		if err := json.Unmarshal(data, &sent.Spec); err != nil {
			return
		}
		v1.SetObjectDefaults_Service(sent)
		stored := sent.DeepCopy()
		if !admit(stored, nil, cluster) || len(validation.ValidateServiceCreate(stored)) > 0 {
			return
		}
		stored.UID, stored.ResourceVersion = "u", "1"
		service.NormalizeOnRead(stored, cluster)
		for what, again := range map[string]*v1.Service{"what is stored": stored, "what was sent": sent} {
			again = again.DeepCopy()
			again.ObjectMeta = stored.ObjectMeta
			if !admit(again, stored, cluster) {
				t.Fatalf("%s can't be written back\n%+v", what, stored.Spec)
			}
			if errs := validation.ValidateServiceUpdate(again, stored); len(errs) > 0 {
				t.Fatalf("%s can't be written back: %v\n%+v", what, errs, stored.Spec)
			}
			if !equality.Semantic.DeepEqual(again.Spec, stored.Spec) {
				t.Fatalf("%s changes the Service to\n%+v\nfrom\n%+v", what, again.Spec, stored.Spec)
			}
		}
	})
}

// admit does the same as the allocator plugins and the strategy, with values of its own.
func admit(svc, stored *v1.Service, cluster []corev1.IPFamily) bool {
	after, before := service.After{Service: svc}, service.Before{Service: stored}
	service.Inherit(after, before)
	if errs := service.DefaultIPFamilies(after, before, cluster); len(errs) > 0 {
		return false
	}
	for _, open := range service.OpenClusterIPs(svc) {
		address := netip.MustParseAddr("10.0.0.77")
		if open.Family == corev1.IPv6Protocol {
			address = netip.MustParseAddr("fd00::77")
		}
		for len(svc.Spec.ClusterIPs) <= open.Index {
			svc.Spec.ClusterIPs = append(svc.Spec.ClusterIPs, "")
		}
		svc.Spec.ClusterIPs[open.Index] = address.String()
		svc.Spec.ClusterIP = svc.Spec.ClusterIPs[0]
	}
	service.AdoptNodePorts(svc)
	next := int32(40000)
	for _, group := range service.OpenNodePorts(svc) {
		for _, i := range group {
			svc.Spec.Ports[i].NodePort = next
		}
		next++
	}
	if service.NeedsHealthCheckNodePort(svc) && svc.Spec.HealthCheckNodePort == 0 {
		svc.Spec.HealthCheckNodePort = next
	}
	return true
}
