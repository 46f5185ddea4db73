package conformance

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// kind is a served kind, with a valid object.
type kind struct {
	schema.GroupVersionResource
	name       string
	namespaced bool
	// object has the required fields beside the metadata. named returns the nth
	// name, where not any name is valid.
	object string
	named  func(behavior string, n int) string
}

const (
	admission = "admissionregistration.k8s.io"
	// things is a rule for what neither server has, and hook a webhook for it.
	things = `{"apiGroups":["example.com"],"apiVersions":["v1"],"operations":["CREATE"],"resources":["things"]}`
	hook   = `{"name":"a.example.com","clientConfig":{"url":"https://webhook.example"},"sideEffects":"None",` +
		`"admissionReviewVersions":["v1"],"rules":[` + things + `]}`
)

// kinds lists the kinds whose objects belong to their creators alone.
func kinds() []kind {
	core := func(resource, name string, namespaced bool, object string) kind {
		return kind{schema.GroupVersionResource{Version: "v1", Resource: resource}, name, namespaced, object, nil}
	}
	of := func(group, resource, name string, namespaced bool, object string) kind {
		return kind{schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}, name, namespaced, object, nil}
	}
	address := of("networking.k8s.io", "ipaddresses", "IPAddress", false,
		`{"spec":{"parentRef":{"group":"example.com","resource":"things","namespace":"foo","name":"bar"}}}`)
	address.named = addressOf
	return []kind{
		core("services", "Service", true, `{"spec":{"ports":[{"port":80}]}}`),
		core("endpoints", "Endpoints", true, `{"subsets":[{"addresses":[{"ip":"192.0.2.24"}],"ports":[{"name":"http","port":80}]}]}`),
		core("nodes", "Node", false, `{"spec":{"unschedulable":true}}`),
		core("pods", "Pod", true, `{"spec":{"containers":[{"name":"c","image":"registry.example/i:1"}]}}`),
		core("secrets", "Secret", true, `{"data":{"a":"eA=="}}`),
		core("configmaps", "ConfigMap", true, `{"data":{"a":"x"},"binaryData":{"b":"eA=="}}`),
		core("serviceaccounts", "ServiceAccount", true, `{"imagePullSecrets":[{"name":"pull"}]}`),
		core("events", "Event", true, `{"involvedObject":{"kind":"Service","name":"web"},"reason":"Why","message":"What"}`),
		of("discovery.k8s.io", "endpointslices", "EndpointSlice", true,
			`{"addressType":"IPv4","endpoints":[{"addresses":["192.0.2.24"]}],"ports":[]}`),
		of("events.k8s.io", "events", "Event", true, `{"regarding":{"kind":"Service","name":"web"},"reason":"Why","note":"What","type":"Normal",`+
			`"action":"Do","eventTime":"2026-01-02T03:04:05.000000Z","reportingController":"example.com/c","reportingInstance":"c-1"}`),
		of("coordination.k8s.io", "leases", "Lease", true, `{"spec":{"holderIdentity":"me","leaseDurationSeconds":30}}`),
		address,
		of("networking.k8s.io", "ingresses", "Ingress", true, `{"spec":{"defaultBackend":{"service":{"name":"web","port":{"number":80}}}}}`),
		of("networking.k8s.io", "ingressclasses", "IngressClass", false, `{"spec":{"controller":"example.com/controller"}}`),
		of("rbac.authorization.k8s.io", "roles", "Role", true, `{"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]}`),
		of("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false, `{"rules":[{"verbs":["get"],"nonResourceURLs":["/a"]}]}`),
		of("rbac.authorization.k8s.io", "rolebindings", "RoleBinding", true,
			`{"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"a"},"subjects":[]}`),
		of("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", false,
			`{"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"a"},"subjects":[]}`),
		of(admission, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", false,
			`{"spec":{"validations":[{"expression":"true"}],"matchConstraints":{"resourceRules":[`+things+`]}}}`),
		of(admission, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", false,
			`{"spec":{"policyName":"a","validationActions":["Deny"]}}`),
		of(admission, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", false, `{"webhooks":[`+hook+`]}`),
		of(admission, "mutatingadmissionpolicies", "MutatingAdmissionPolicy", false, `{"spec":{"reinvocationPolicy":"Never",`+
			`"mutations":[{"patchType":"JSONPatch","jsonPatch":{"expression":"[JSONPatch{op: \"remove\", path: \"/x\"}]"}}],`+
			`"matchConstraints":{"resourceRules":[`+things+`]}}}`),
		of(admission, "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", false, `{"spec":{"policyName":"a"}}`),
		of(admission, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", false, `{"webhooks":[`+hook+`]}`),
	}
}

// kindNamed returns the kind with an id.
func kindNamed(id string) kind {
	all := kinds()
	return all[slices.IndexFunc(all, func(k kind) bool { return k.id() == id })]
}

// addressOf returns an address outside all ranges that no other behavior uses.
func addressOf(behavior string, n int) string {
	sum := fnv.New32a()
	if _, err := sum.Write([]byte(behavior)); err != nil {
		return ""
	}
	return fmt.Sprintf("2001:db8:%x:%x::%x", sum.Sum32()>>16|0x1000, sum.Sum32()&0xffff|0x1000, n+1)
}

// id is the name of a kind, which distinguishes resources of two groups.
func (k kind) id() string { return k.GroupResource().String() }

// label selects the objects of the behavior.
func (f *fixture) label() string { return "behavior=" + f.namespace }

// resource returns a client of a kind, in the behavior's namespace if the kind
// is namespaced.
func (f *fixture) resource(k kind) dynamic.ResourceInterface {
	if k.namespaced {
		return f.dynamic.Resource(k.GroupVersionResource).Namespace(f.namespace)
	}
	return f.dynamic.Resource(k.GroupVersionResource)
}

// object returns the behavior's nth object of a kind.
func (f *fixture) object(k kind, n int) *unstructured.Unstructured {
	f.Helper()
	obj := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(k.object), &obj.Object); err != nil {
		f.Fatal(err)
	}
	obj.SetGroupVersionKind(k.GroupVersion().WithKind(k.name))
	obj.SetName(fmt.Sprintf("%s-%d", f.namespace, n))
	if k.named != nil {
		obj.SetName(k.named(f.namespace, n))
	}
	obj.SetLabels(map[string]string{"behavior": f.namespace})
	for _, field := range []string{"involvedObject", "regarding"} {
		if _, found := obj.Object[field]; found {
			if err := unstructured.SetNestedField(obj.Object, f.namespace, field, "namespace"); err != nil {
				f.Fatal(err)
			}
		}
	}
	return obj
}
