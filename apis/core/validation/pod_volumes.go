package validation

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

// validateVolumes validates the names of volumes, and returns those that are valid. It does
// not validate their sources.
func validateVolumes(volumes []corev1.Volume) (names sets.Set[string], errs field.ErrorList) {
	names = sets.New[string]()
	for i, volume := range volumes {
		path := specPath.Child("volumes").Index(i).Child("name")
		messages := utilvalidation.IsDNS1123Label(volume.Name)
		switch {
		case volume.Name == "":
			errs = append(errs, field.Required(path, ""))
		case len(messages) > 0:
			errs = append(errs, portolanvalidation.Invalid(path, volume.Name, messages)...)
		case names.Has(volume.Name):
			errs = append(errs, field.Duplicate(path, volume.Name))
		default:
			names.Insert(volume.Name)
		}
	}
	return names, errs
}

// validateVolumeMounts validates where volumes are mounted. It does not validate how.
func validateVolumeMounts(container *corev1.Container, volumes sets.Set[string], mountsPath *field.Path) field.ErrorList {
	var errs field.ErrorList
	paths, devices, devicePaths := sets.New[string](), sets.New[string](), sets.New[string]()
	for _, device := range container.VolumeDevices {
		devices.Insert(device.Name)
		devicePaths.Insert(device.DevicePath)
	}
	for i, mount := range container.VolumeMounts {
		path := mountsPath.Index(i)
		if mount.Name == "" {
			errs = append(errs, field.Required(path.Child("name"), ""))
		}
		if !volumes.Has(mount.Name) {
			errs = append(errs, field.NotFound(path.Child("name"), mount.Name))
		}
		if mount.MountPath == "" {
			errs = append(errs, field.Required(path.Child("mountPath"), ""))
		}
		if paths.Has(mount.MountPath) {
			errs = append(errs, field.Invalid(path.Child("mountPath"), mount.MountPath, "must be unique"))
		}
		paths.Insert(mount.MountPath)
		if devices.Has(mount.Name) {
			errs = append(errs, field.Invalid(path.Child("name"), mount.Name, "must not already exist in volumeDevices"))
		}
		if devicePaths.Has(mount.MountPath) {
			errs = append(errs, field.Invalid(path.Child("mountPath"), mount.MountPath, "must not already exist as a path in volumeDevices"))
		}
		// The paths of upstream lack the index.
		errs = append(errs, validateSubPath(mount.SubPath, mountsPath.Child("subPath"))...)
		if mount.SubPath != "" && mount.SubPathExpr != "" {
			errs = append(errs, field.Invalid(path.Child("subPathExpr"), mount.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
		}
		errs = append(errs, validateSubPath(mount.SubPathExpr, mountsPath.Child("subPathExpr"))...)
	}
	return errs
}

// validateSubPath wants a path that stays below its start.
func validateSubPath(name string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if path.IsAbs(name) {
		errs = append(errs, field.Invalid(at, name, "must be a relative path"))
	}
	if slices.Contains(strings.Split(name, "/"), "..") {
		errs = append(errs, field.Invalid(at, name, "must not contain '..'"))
	}
	return errs
}
