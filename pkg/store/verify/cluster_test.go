package verify

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// TestCheckCluster compares a Service of the store with the Services of a cluster. All of
// Portolan's claims are in order.
func TestCheckCluster(t *testing.T) {
	const address = "10.96.0.5"
	ours := func(annotations ...string) *v1.Service {
		s := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "u", Annotations: map[string]string{}}}
		for i := 0; i < len(annotations); i += 2 {
			s.Annotations[annotations[i]] = annotations[i+1]
		}
		s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: address, ClusterIPs: []string{address}}
		return s
	}
	theirs := func(name string, uid types.UID, change func(*corev1.Service)) []corev1.Service {
		s := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: uid}, Spec: ours().Spec}
		if change != nil {
			change(&s)
		}
		return []corev1.Service{s}
	}
	elsewhere := func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "10.96.0.6", []string{"10.96.0.6"} }
	written := func(s *corev1.Service) { s.Labels = map[string]string{v1.LabelWrittenBack: v1.WrittenBack} }
	copied := v1.AnnotationMirroredFrom
	for name, test := range map[string]struct {
		ours   *v1.Service
		theirs []corev1.Service
		// violation and warning are parts of the only one.
		violation, warning string
	}{
		"apart":            {ours(), theirs("other", "v", elsewhere), "", "services/default/other of the cluster is not mirrored"},
		"the same address": {ours(), theirs("other", "v", nil), "10.96.0.5 is held by services/default/web, and by", "not mirrored"},
		"the same name":    {ours(), theirs("web", "v", elsewhere), "services/default/web is Portolan's own, but the cluster has", ""},
		"a copy":           {ours(copied, "c"), theirs("web", "u", nil), "", ""},
		"a copy, gone":     {ours(copied, "c"), nil, "services/default/web is a copy, but the cluster has no such Service", ""},
		"a copy, other":    {ours(copied, "c"), theirs("web", "v", nil), "copy of another Service than the cluster's: the uid is v there", ""},
		"a copy, differs":  {ours(copied, "c"), theirs("web", "u", elsewhere), "is a copy that differs", ""},
		"adopted":          {ours(), theirs("web", "u", nil), "", "run portolan adopt again"},
		"being released": {ours(), theirs("web", "v", func(s *corev1.Service) {
			s.Annotations = map[string]string{v1.AnnotationReleasedFrom: "u"}
		}), "", "run portolan release again"},
		"written back": {ours(), theirs("web", "v", written), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			contents := Contents{
				Services:    []v1.Service{*test.ours},
				IPAddresses: []v1.IPAddress{*v1.NewHeldAddress(address, test.ours)},
				ServiceCIDRs: []v1.ServiceCIDR{{
					ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: v1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16"}},
				}},
			}
			report := CheckCluster(contents, test.theirs)
			for want, got := range map[string][]string{test.violation: report.Violations, test.warning: report.Warnings} {
				if want == "" {
					continue
				}
				if len(got) != 1 || !strings.Contains(got[0], want) {
					t.Errorf("want %q, got %q", want, got)
				}
			}
			if (len(report.Violations) > 0) != (test.violation != "") || (len(report.Warnings) > 0) != (test.warning != "") {
				t.Errorf("violations %q, warnings %q", report.Violations, report.Warnings)
			}
		})
	}
}
