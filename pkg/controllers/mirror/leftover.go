package mirror

import (
	"cmp"
	"context"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers/endpointslice"
	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
	"github.com/portolan-dev/portolan/pkg/controllers/rules"
)

// isLeftover reports whether Portolan's controllers have written an object for a Service that
// is a copy by now. They leave the endpoints of copies alone.
func (m *Mirror) isLeftover(name key, ours object) (bool, error) {
	if ours == nil || v1.IsMirrored(ours) {
		return false, nil
	}
	labels := ours.GetLabels()
	switch name.resource {
	case endpoints:
		if labels[rules.LabelManagedBy] != rules.ManagedBy {
			return false, nil
		}
	case endpointSlices:
		if by := labels[discoveryv1.LabelManagedBy]; by != endpointslice.ManagedBy && by != rules.MirroredBy {
			return false, nil
		}
	default:
		return false, nil
	}
	service, err := get(m.kinds[services].ours, m.owner(name, ours))
	return err == nil && service != nil && v1.IsMirrored(service), err
}

// owner returns the name of the Service that an object belongs to.
func (m *Mirror) owner(name key, obj object) cache.ObjectName {
	return cache.ObjectName{Namespace: name.Namespace, Name: m.kinds[name.resource].serviceOf(obj)}
}

// removeLeftover deletes a leftover. A slice stays until those of the cluster are copied, so
// that the Service has endpoints throughout.
func (m *Mirror) removeLeftover(ctx context.Context, name key, ours object) error {
	if name.resource == endpointSlices {
		if copied, err := m.slicesCopied(m.owner(name, ours)); !copied || err != nil {
			return cmp.Or(err, reconcile.ErrStale)
		}
	}
	return m.remove(ctx, name, ours)
}

// slicesCopied reports whether all slices that the cluster has of a Service are copied. With
// a selector there is at least one.
func (m *Mirror) slicesCopied(service cache.ObjectName) (bool, error) {
	source, err := get(m.kinds[services].source, service)
	if err != nil || source == nil {
		return false, err
	}
	k := m.kinds[endpointSlices]
	found, err := k.source.GetIndexer().ByIndex(byService, service.String())
	if err != nil {
		return false, err
	}
	for _, obj := range found {
		slice := obj.(*discoveryv1.EndpointSlice)
		ours, err := get(k.ours, cache.MetaObjectToName(slice))
		if err != nil || ours == nil || !v1.IsMirrored(ours) || ours.GetUID() != slice.UID {
			return false, err
		}
	}
	return len(found) > 0 || asService(source).Spec.Selector == nil, nil
}
