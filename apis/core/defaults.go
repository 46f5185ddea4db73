package core

import (
	"maps"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// addDefaults registers the defaults of portolan/v1 for upstream's types, and the
// defaults of the kinds that portolan/v1 does not have. ServiceCIDRs, IPAddresses and
// Ingresses have none.
func addDefaults(scheme *runtime.Scheme) {
	addObjectDefaults(scheme, setNamespaceDefaults, func(list *corev1.NamespaceList) []corev1.Namespace { return list.Items })
	addObjectDefaults(scheme, setNodeDefaults, func(list *corev1.NodeList) []corev1.Node { return list.Items })
	addObjectDefaults(scheme, setPodDefaults, func(list *corev1.PodList) []corev1.Pod { return list.Items })
	addObjectDefaults(scheme, setSecretDefaults, func(list *corev1.SecretList) []corev1.Secret { return list.Items })
	addObjectDefaults(scheme, setConfigMapDefaults, func(list *corev1.ConfigMapList) []corev1.ConfigMap { return list.Items })
	addObjectDefaults(scheme, setIngressClassDefaults,
		func(list *networkingv1.IngressClassList) []networkingv1.IngressClass { return list.Items })
	addObjectDefaults(scheme, func(b *rbacv1.RoleBinding) { setBindingDefaults(&b.RoleRef, b.Subjects) },
		func(list *rbacv1.RoleBindingList) []rbacv1.RoleBinding { return list.Items })
	addObjectDefaults(scheme, func(b *rbacv1.ClusterRoleBinding) { setBindingDefaults(&b.RoleRef, b.Subjects) },
		func(list *rbacv1.ClusterRoleBindingList) []rbacv1.ClusterRoleBinding { return list.Items })
	scheme.AddTypeDefaultingFunc(&authenticationv1.TokenRequest{}, func(obj any) {
		setTokenRequestDefaults(obj.(*authenticationv1.TokenRequest))
	})
	addAdmissionDefaults(scheme)
	scheme.AddTypeDefaultingFunc(&corev1.Service{}, func(obj any) { v1.SetDefaults_Service((*v1.Service)(obj.(*corev1.Service))) })
	scheme.AddTypeDefaultingFunc(&corev1.ServiceList{}, func(obj any) {
		items := obj.(*corev1.ServiceList).Items
		for i := range items {
			v1.SetDefaults_Service((*v1.Service)(&items[i]))
		}
	})
	scheme.AddTypeDefaultingFunc(&corev1.Endpoints{}, func(obj any) { v1.SetDefaults_Endpoints((*v1.Endpoints)(obj.(*corev1.Endpoints))) })
	scheme.AddTypeDefaultingFunc(&corev1.EndpointsList{}, func(obj any) {
		items := obj.(*corev1.EndpointsList).Items
		for i := range items {
			v1.SetDefaults_Endpoints((*v1.Endpoints)(&items[i]))
		}
	})
	scheme.AddTypeDefaultingFunc(&discoveryv1.EndpointSlice{}, func(obj any) {
		v1.SetDefaults_EndpointSlice((*v1.EndpointSlice)(obj.(*discoveryv1.EndpointSlice)))
	})
	scheme.AddTypeDefaultingFunc(&discoveryv1.EndpointSliceList{}, func(obj any) {
		items := obj.(*discoveryv1.EndpointSliceList).Items
		for i := range items {
			v1.SetDefaults_EndpointSlice((*v1.EndpointSlice)(&items[i]))
		}
	})
}

// addObjectDefaults registers the defaults of a kind and of its list.
func addObjectDefaults[T, L any](scheme *runtime.Scheme, set func(*T), items func(*L) []T) {
	scheme.AddTypeDefaultingFunc(any(new(T)).(runtime.Object), func(obj any) { set(obj.(*T)) })
	scheme.AddTypeDefaultingFunc(any(new(L)).(runtime.Object), func(obj any) {
		items := items(obj.(*L))
		for i := range items {
			set(&items[i])
		}
	})
}

// setBindingDefaults names the API group of a binding's role, and of users and groups.
func setBindingDefaults(role *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	if role.APIGroup == "" {
		role.APIGroup = rbacv1.GroupName
	}
	for i := range subjects {
		subject := &subjects[i]
		if subject.APIGroup == "" && (subject.Kind == rbacv1.UserKind || subject.Kind == rbacv1.GroupKind) {
			subject.APIGroup = rbacv1.GroupName
		}
	}
}

// setNamespaceDefaults labels a Namespace with its name, if it has one yet. If the name
// comes from generateName, LabelNamespace is called later. The default phase is Active.
func setNamespaceDefaults(namespace *corev1.Namespace) {
	if namespace.Name != "" {
		LabelNamespace(namespace)
	}
	if namespace.Status.Phase == "" {
		namespace.Status.Phase = corev1.NamespaceActive
	}
}

// LabelNamespace labels a Namespace with its name. It copies the map of labels, because
// other objects can share it.
func LabelNamespace(namespace *corev1.Namespace) {
	if namespace.Labels[corev1.LabelMetadataName] == namespace.Name {
		return
	}
	labels := maps.Clone(namespace.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[corev1.LabelMetadataName] = namespace.Name
	namespace.Labels = labels
}

// setIngressClassDefaults applies upstream's default: parameters have the scope Cluster.
func setIngressClassDefaults(class *networkingv1.IngressClass) {
	if parameters := class.Spec.Parameters; parameters != nil && parameters.Scope == nil {
		parameters.Scope = ptr.To(networkingv1.IngressClassParametersReferenceScopeCluster)
	}
}

// setSecretDefaults moves stringData, which is write-only, into data. Upstream does that
// in the conversion (pkg/apis/core/v1/conversion.go). Here the type is its own internal
// version and has no conversion, but every object that is decoded, patched or applied
// gets defaults.
func setSecretDefaults(secret *corev1.Secret) {
	if secret.Type == "" {
		secret.Type = corev1.SecretTypeOpaque
	}
	if len(secret.StringData) > 0 && secret.Data == nil {
		secret.Data = make(map[string][]byte, len(secret.StringData))
	}
	for key, text := range secret.StringData {
		secret.Data[key] = []byte(text)
	}
	secret.StringData = nil
}

// setConfigMapDefaults makes an empty map of data, which is not written out. So an update
// that leaves the data out changes nothing if there was none.
func setConfigMapDefaults(config *corev1.ConfigMap) {
	if config.Data == nil {
		config.Data = map[string]string{}
	}
}

// setTokenRequestDefaults makes tokens valid for an hour.
func setTokenRequestDefaults(request *authenticationv1.TokenRequest) {
	if request.Spec.ExpirationSeconds == nil {
		request.Spec.ExpirationSeconds = ptr.To[int64](3600)
	}
}
