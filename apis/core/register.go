package core

import (
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// group has the types of an API group.
type group struct {
	version  schema.GroupVersion
	external []runtime.Object
	internal []runtime.Object
	// both lists upstream's types that are v1 and internal version at once.
	both []runtime.Object
}

// AddToScheme registers the kinds, their defaults, conversions and field labels. Call it
// after portolan/v1.AddToScheme: a type is stored in the group that is registered first,
// and errors name that group by default.
func AddToScheme(scheme *runtime.Scheme) error {
	if !scheme.IsGroupRegistered(v1.GroupName) {
		return fmt.Errorf("the kinds of %s must be registered first", v1.SchemeGroupVersion)
	}
	for _, group := range groups() {
		internal := schema.GroupVersion{Group: group.version.Group, Version: runtime.APIVersionInternal}
		scheme.AddKnownTypes(group.version, slices.Concat(group.external, group.both)...)
		scheme.AddKnownTypes(internal, slices.Concat(group.internal, group.both)...)
		metav1.AddToGroupVersion(scheme, group.version)
		if err := scheme.SetVersionPriority(group.version); err != nil {
			return err
		}
	}
	addDefaults(scheme)
	if err := addConversions(scheme); err != nil {
		return err
	}
	return addFieldLabels(scheme)
}

// groups returns the types by API group.
func groups() []group {
	return []group{
		{
			version:  corev1.SchemeGroupVersion,
			external: []runtime.Object{&corev1.Service{}, &corev1.ServiceList{}, &corev1.Endpoints{}, &corev1.EndpointsList{}},
			internal: []runtime.Object{&v1.Service{}, &v1.ServiceList{}, &v1.Endpoints{}, &v1.EndpointsList{}},
			both: []runtime.Object{
				&corev1.Namespace{}, &corev1.NamespaceList{}, &corev1.Node{}, &corev1.NodeList{}, &corev1.Pod{}, &corev1.PodList{},
				&corev1.Event{}, &corev1.EventList{}, &corev1.Secret{}, &corev1.SecretList{},
				&corev1.ConfigMap{}, &corev1.ConfigMapList{}, &corev1.ServiceAccount{}, &corev1.ServiceAccountList{},
				&corev1.PersistentVolume{}, &corev1.PersistentVolumeList{}, &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolumeClaimList{},
				&corev1.ReplicationController{}, &corev1.ReplicationControllerList{},
			},
		},
		{
			version:  discoveryv1.SchemeGroupVersion,
			external: []runtime.Object{&discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{}},
			internal: []runtime.Object{&v1.EndpointSlice{}, &v1.EndpointSliceList{}},
		},
		{
			version: networkingv1.SchemeGroupVersion,
			external: []runtime.Object{
				&networkingv1.ServiceCIDR{}, &networkingv1.ServiceCIDRList{}, &networkingv1.IPAddress{}, &networkingv1.IPAddressList{},
			},
			internal: []runtime.Object{&v1.ServiceCIDR{}, &v1.ServiceCIDRList{}, &v1.IPAddress{}, &v1.IPAddressList{}},
			both: []runtime.Object{
				&networkingv1.Ingress{}, &networkingv1.IngressList{}, &networkingv1.IngressClass{}, &networkingv1.IngressClassList{},
			},
		},
		{
			version:  eventsv1.SchemeGroupVersion,
			external: []runtime.Object{&eventsv1.Event{}, &eventsv1.EventList{}},
			internal: []runtime.Object{&corev1.Event{}, &corev1.EventList{}},
		},
		{
			version: coordinationv1.SchemeGroupVersion,
			both:    []runtime.Object{&coordinationv1.Lease{}, &coordinationv1.LeaseList{}},
		},
		{
			version: authenticationv1.SchemeGroupVersion,
			both: []runtime.Object{
				&authenticationv1.TokenReview{}, &authenticationv1.SelfSubjectReview{}, &authenticationv1.TokenRequest{},
			},
		},
		{
			version: authorizationv1.SchemeGroupVersion,
			both: []runtime.Object{
				&authorizationv1.SubjectAccessReview{}, &authorizationv1.SelfSubjectAccessReview{}, &authorizationv1.LocalSubjectAccessReview{},
				&authorizationv1.SelfSubjectRulesReview{},
			},
		},
		{
			version: rbacv1.SchemeGroupVersion,
			both: []runtime.Object{
				&rbacv1.Role{}, &rbacv1.RoleList{}, &rbacv1.ClusterRole{}, &rbacv1.ClusterRoleList{},
				&rbacv1.RoleBinding{}, &rbacv1.RoleBindingList{}, &rbacv1.ClusterRoleBinding{}, &rbacv1.ClusterRoleBindingList{},
			},
		},
		{version: admissionregistrationv1.SchemeGroupVersion, both: admissionTypes()},
		{
			version: appsv1.SchemeGroupVersion,
			both: []runtime.Object{
				&appsv1.DaemonSet{}, &appsv1.DaemonSetList{}, &appsv1.Deployment{}, &appsv1.DeploymentList{},
				&appsv1.ReplicaSet{}, &appsv1.ReplicaSetList{}, &appsv1.StatefulSet{}, &appsv1.StatefulSetList{},
			},
		},
		{
			version: batchv1.SchemeGroupVersion,
			both:    []runtime.Object{&batchv1.CronJob{}, &batchv1.CronJobList{}, &batchv1.Job{}, &batchv1.JobList{}},
		},
	}
}
