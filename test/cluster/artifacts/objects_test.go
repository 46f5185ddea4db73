package artifacts

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// podTemplate is what an object makes Pods from, nil if it makes none.
func podTemplate(t *testing.T, m Manifest) *corev1.PodTemplateSpec {
	t.Helper()
	if m.GroupVersionKind().Group == CertManager {
		return nil
	}
	switch obj := Decode(t, m).(type) {
	case *appsv1.Deployment:
		return &obj.Spec.Template
	case *appsv1.StatefulSet:
		return &obj.Spec.Template
	case *batchv1.Job:
		return &obj.Spec.Template
	case *batchv1.CronJob:
		return &obj.Spec.JobTemplate.Spec.Template
	}
	return nil
}

// rules are the rights that a role gives.
func rules(t *testing.T, m Manifest) []rbacv1.PolicyRule {
	t.Helper()
	switch m.GetKind() {
	case "Role":
		return Decode(t, m).(*rbacv1.Role).Rules
	case "ClusterRole":
		return Decode(t, m).(*rbacv1.ClusterRole).Rules
	}
	return nil
}

// named are the IDs of the objects that an object names.
func named(t *testing.T, m Manifest) []string {
	t.Helper()
	in := func(kind, name string) string { return kind + " " + m.GetNamespace() + "/" + name }
	ids := []string{"Namespace /" + m.GetNamespace()}
	if m.GroupVersionKind().Group == CertManager {
		for kind, path := range map[string][]string{"Issuer": {"spec", "issuerRef", "name"}, "Secret": {"spec", "ca", "secretName"}} {
			name, there, err := unstructured.NestedString(m.Object, path...)
			if err != nil {
				t.Fatal(err)
			}
			if there {
				ids = append(ids, in(kind, name))
			}
		}
		return ids
	}
	switch obj := Decode(t, m).(type) {
	case *rbacv1.RoleBinding:
		return append(append(ids, in(obj.RoleRef.Kind, obj.RoleRef.Name)), accounts(obj.Subjects)...)
	case *rbacv1.ClusterRoleBinding:
		return append(append(ids, obj.RoleRef.Kind+" /"+obj.RoleRef.Name), accounts(obj.Subjects)...)
	case *apiregistrationv1.APIService:
		if secret := obj.Annotations["cert-manager.io/inject-ca-from"]; secret != "" {
			ids = append(ids, "Secret "+secret)
		}
		return append(ids, "Service "+obj.Spec.Service.Namespace+"/"+obj.Spec.Service.Name)
	case *appsv1.StatefulSet:
		ids = append(ids, in("Service", obj.Spec.ServiceName))
	}
	template := podTemplate(t, m)
	if template == nil {
		return ids
	}
	if account := template.Spec.ServiceAccountName; account != "" {
		ids = append(ids, in("ServiceAccount", account))
	}
	for _, volume := range template.Spec.Volumes {
		if volume.Secret != nil {
			ids = append(ids, in("Secret", volume.Secret.SecretName))
		}
	}
	for _, container := range template.Spec.Containers {
		for _, env := range container.Env {
			if env.ValueFrom != nil && env.ValueFrom.ConfigMapKeyRef != nil {
				ids = append(ids, in("ConfigMap", env.ValueFrom.ConfigMapKeyRef.Name))
			}
		}
	}
	return ids
}

func accounts(subjects []rbacv1.Subject) []string {
	var ids []string
	for _, subject := range subjects {
		ids = append(ids, subject.Kind+" "+subject.Namespace+"/"+subject.Name)
	}
	return ids
}
