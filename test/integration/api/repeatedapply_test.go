package api

import (
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// repeatedApplies are configurations by group and path. Most of them set a list that is
// owned as a whole and has items with defaults, or a field that is stored elsewhere. The
// stored object then differs from the configuration.
func repeatedApplies() []struct{ group, path, fields string } {
	const webhooks = `"metadata":{"name":"r"},"webhooks":[{"name":"a.example.com","clientConfig":{"url":"https://webhook.example/a"},` +
		`"rules":[{"apiGroups":["example.com"],"apiVersions":["v1"],"operations":["CREATE"],"resources":["things"]}],` +
		`"admissionReviewVersions":["v1"],"sideEffects":"None"}]`
	const constraints = `"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["services"]}]}`
	const slice = `"kind":"EndpointSlice","metadata":{"name":"r"},"addressType":"IPv4","endpoints":[{"addresses":["192.0.2.1"]}],"ports":[{"port":80}]`
	const endpoints = `"kind":"Endpoints","metadata":{"name":"r"},"subsets":[{"addresses":[{"ip":"192.0.2.1"}],"ports":[{"port":80}]}]`
	const service = `"metadata":{"name":"r"},"spec":{"type":"LoadBalancer","ports":[{"port":80,"name":"a"},{"port":81,"name":"b"}]}`
	return []struct{ group, path, fields string }{
		{"", "/namespaces/default/services/r", `"kind":"Service",` + service},
		{v1.GroupName, "/namespaces/default/services/s", `"kind":"Service",` + strings.Replace(service, `"r"`, `"s"`, 1)},
		{"", "/namespaces/default/endpoints/r", endpoints},
		{v1.GroupName, "/namespaces/default/endpoints/s", strings.Replace(endpoints, `"r"`, `"s"`, 1)},
		{discoveryv1.GroupName, "/namespaces/default/endpointslices/r", slice},
		{v1.GroupName, "/namespaces/default/endpointslices/s", strings.Replace(slice, `"r"`, `"s"`, 1)},
		{"", "/namespaces/r", `"kind":"Namespace","metadata":{"name":"r"}`},
		{"", "/namespaces/default/configmaps/r", `"kind":"ConfigMap","metadata":{"name":"r"},"data":{"a":"b"}`},
		{"", "/namespaces/default/secrets/r", `"kind":"Secret","metadata":{"name":"r"},"stringData":{"a":"b"}`},
		{"", "/namespaces/default/serviceaccounts/r", `"kind":"ServiceAccount","metadata":{"name":"r"}`},
		{"", "/namespaces/default/pods/r", `"kind":"Pod","metadata":{"name":"r"},"spec":{"containers":[{"name":"a","image":"b"}],` +
			`"volumes":[{"name":"d","downwardAPI":{"items":[{"path":"a","fieldRef":{"fieldPath":"metadata.name"}}]}}]}`},
		{networkingv1.GroupName, "/namespaces/default/ingresses/r", `"kind":"Ingress","metadata":{"name":"r"},"spec":{"rules":[` +
			`{"host":"a.example","http":{"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"r","port":{"number":80}}}}]}}]}`},
		{rbacv1.GroupName, "/clusterroles/r", `"kind":"ClusterRole","metadata":{"name":"r"},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]`},
		{rbacv1.GroupName, "/clusterrolebindings/r", `"kind":"ClusterRoleBinding","metadata":{"name":"r"},"subjects":[{"kind":"User","name":"u"}],` +
			`"roleRef":{"kind":"ClusterRole","name":"r"}`},
		{admissionregistrationv1.GroupName, "/validatingwebhookconfigurations/r", `"kind":"ValidatingWebhookConfiguration",` + webhooks},
		{admissionregistrationv1.GroupName, "/mutatingwebhookconfigurations/r", `"kind":"MutatingWebhookConfiguration",` + webhooks},
		{admissionregistrationv1.GroupName, "/validatingadmissionpolicies/r", `"kind":"ValidatingAdmissionPolicy","metadata":{"name":"r"},` +
			`"spec":{` + constraints + `,"validations":[{"expression":"true"}]}`},
		{admissionregistrationv1.GroupName, "/mutatingadmissionpolicies/r", `"kind":"MutatingAdmissionPolicy","metadata":{"name":"r"},` +
			`"spec":{` + constraints + `,"reinvocationPolicy":"Never","mutations":[{"patchType":"ApplyConfiguration","applyConfiguration":{"expression":"Object{}"}}]}`},
		{v1.GroupName, "/servicecidrs/r", `"kind":"ServiceCIDR","metadata":{"name":"r"},"spec":{"cidrs":["198.51.100.0/24"]}`},
		{v1.GroupName, "/nodeportranges/r", `"kind":"NodePortRange","metadata":{"name":"r"},"spec":{"ports":["34000-34010"]}`},
		{v1.GroupName, "/loadbalancerpools/r", `"kind":"LoadBalancerPool","metadata":{"name":"r"},"spec":{"cidrs":["203.0.113.0/28"]}`},
		{v1.GroupName, "/namespaces/default/claimquotas/r", `"kind":"ClaimQuota","metadata":{"name":"r"},"spec":{"hard":{"nodeports":5}}`},
	}
}

// TestRepeatedApplyWritesNothing applies configurations again in a later second. The time of
// the managed fields, which counts seconds, is no reason to write.
func TestRepeatedApplyWritesNothing(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	applies := repeatedApplies()
	applyAll := func() []*metav1.PartialObjectMetadata {
		objects := make([]*metav1.PartialObjectMetadata, len(applies))
		for i, a := range applies {
			object, err := apply(t, server, a.group, a.path, "one", a.fields, false)
			if err != nil {
				t.Fatalf("%s: %v", a.path, err)
			}
			objects[i] = object
		}
		return objects
	}
	applyAll()
	// Controllers have written what they write to new objects once a second has passed.
	nextSecond()
	first := applyAll()
	nextSecond()
	for i, object := range applyAll() {
		if object.ResourceVersion != first[i].ResourceVersion {
			t.Errorf("%s of %q: applied again, its version went from %s to %s", applies[i].path, applies[i].group, first[i].ResourceVersion,
				object.ResourceVersion)
		}
	}
}

// nextSecond waits until the clock shows another second.
func nextSecond() {
	now := time.Now()
	time.Sleep(now.Truncate(time.Second).Add(time.Second).Sub(now))
}
