package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// setVolumeDefaults applies upstream's defaults to a volume of a Pod. A volume without a
// source is an empty directory.
func setVolumeDefaults(volume *corev1.VolumeSource) {
	if ptr.AllPtrFieldsNil(volume) {
		volume.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	if source := volume.HostPath; source != nil {
		setMissing(&source.Type, corev1.HostPathUnset)
	}
	if source := volume.Secret; source != nil {
		setMissing(&source.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	}
	if source := volume.ConfigMap; source != nil {
		setMissing(&source.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	}
	if source := volume.DownwardAPI; source != nil {
		setMissing(&source.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		setDownwardDefaults(source.Items)
	}
	if source := volume.Projected; source != nil {
		setProjectedDefaults(source)
	}
	if source := volume.Image; source != nil {
		setDefault(&source.PullPolicy, pullPolicyOf(source.Reference))
	}
	if source := volume.Ephemeral; source != nil && source.VolumeClaimTemplate != nil {
		setMissing(&source.VolumeClaimTemplate.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	}
	setDriverDefaults(volume)
}

func setProjectedDefaults(source *corev1.ProjectedVolumeSource) {
	setMissing(&source.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
	for i := range source.Sources {
		if projection := source.Sources[i].DownwardAPI; projection != nil {
			setDownwardDefaults(projection.Items)
		}
		if token := source.Sources[i].ServiceAccountToken; token != nil {
			setMissing(&token.ExpirationSeconds, 3600)
		}
	}
}

func setDownwardDefaults(files []corev1.DownwardAPIVolumeFile) {
	for i := range files {
		setFieldRefDefaults(files[i].FieldRef)
	}
}

// setDriverDefaults sets the defaults of volumes of particular drivers.
func setDriverDefaults(volume *corev1.VolumeSource) {
	if source := volume.ISCSI; source != nil {
		setDefault(&source.ISCSIInterface, "default")
	}
	if source := volume.RBD; source != nil {
		setDefault(&source.RBDPool, "rbd")
		setDefault(&source.RadosUser, "admin")
		setDefault(&source.Keyring, "/etc/ceph/keyring")
	}
	if source := volume.AzureDisk; source != nil {
		setMissing(&source.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		setMissing(&source.FSType, "ext4")
		setMissing(&source.ReadOnly, false)
		setMissing(&source.Kind, corev1.AzureSharedBlobDisk)
	}
	if source := volume.ScaleIO; source != nil {
		setDefault(&source.StorageMode, "ThinProvisioned")
		setDefault(&source.FSType, "xfs")
	}
}
