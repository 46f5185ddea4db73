package registry

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/portolan-dev/portolan/pkg/registry/absent"
)

// AbsentKinds returns the table of absent kinds: those that kubectl apply --prune reads
// (k8s.io/kubectl/pkg/util/prune) and that need a cluster. A standalone server with the
// core API groups serves them: a cluster has its own.
func AbsentKinds() []absent.Kind {
	core, apps, batch := corev1.SchemeGroupVersion, appsv1.SchemeGroupVersion, batchv1.SchemeGroupVersion
	return []absent.Kind{
		{
			Resource: core.WithResource("persistentvolumes"), Singular: "persistentvolume", Short: []string{"pv"},
			New: object[corev1.PersistentVolume], NewList: object[corev1.PersistentVolumeList],
		},
		{
			Resource: core.WithResource("persistentvolumeclaims"), Singular: "persistentvolumeclaim", Short: []string{"pvc"}, Namespaced: true,
			New: object[corev1.PersistentVolumeClaim], NewList: object[corev1.PersistentVolumeClaimList],
		},
		{
			Resource: core.WithResource("replicationcontrollers"), Singular: "replicationcontroller", Short: []string{"rc"}, Namespaced: true,
			New: object[corev1.ReplicationController], NewList: object[corev1.ReplicationControllerList],
		},
		{
			Resource: apps.WithResource("daemonsets"), Singular: "daemonset", Short: []string{"ds"}, Namespaced: true,
			New: object[appsv1.DaemonSet], NewList: object[appsv1.DaemonSetList],
		},
		{
			Resource: apps.WithResource("deployments"), Singular: "deployment", Short: []string{"deploy"}, Namespaced: true,
			New: object[appsv1.Deployment], NewList: object[appsv1.DeploymentList],
		},
		{
			Resource: apps.WithResource("replicasets"), Singular: "replicaset", Short: []string{"rs"}, Namespaced: true,
			New: object[appsv1.ReplicaSet], NewList: object[appsv1.ReplicaSetList],
		},
		{
			Resource: apps.WithResource("statefulsets"), Singular: "statefulset", Short: []string{"sts"}, Namespaced: true,
			New: object[appsv1.StatefulSet], NewList: object[appsv1.StatefulSetList],
		},
		{
			Resource: batch.WithResource("cronjobs"), Singular: "cronjob", Short: []string{"cj"}, Namespaced: true,
			New: object[batchv1.CronJob], NewList: object[batchv1.CronJobList],
		},
		{
			Resource: batch.WithResource("jobs"), Singular: "job", Namespaced: true,
			New: object[batchv1.Job], NewList: object[batchv1.JobList],
		},
	}
}
