package source

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// In returns a source with the objects of another one in another API version.
func In(version schema.GroupVersion, convertor runtime.ObjectConvertor, of Source) Source {
	return inVersion{of, version, convertor}
}

type inVersion struct {
	Source
	version   schema.GroupVersion
	convertor runtime.ObjectConvertor
}

// List implements rest.Lister.
func (v inVersion) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	list, err := v.Source.List(ctx, options)
	if err != nil {
		return nil, err
	}
	items, err := meta.ExtractList(list)
	if err != nil {
		return nil, err
	}
	for i := range items {
		if items[i], err = v.convertor.ConvertToVersion(items[i], v.version); err != nil {
			return nil, err
		}
	}
	listed, err := meta.ListAccessor(list)
	if err != nil {
		return nil, err
	}
	return &metainternalversion.List{ListMeta: metav1.ListMeta{ResourceVersion: listed.GetResourceVersion()}, Items: items}, nil
}

// Watch implements rest.Watcher.
func (v inVersion) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	events, err := v.Source.Watch(ctx, options)
	if err != nil {
		return nil, err
	}
	return watch.Filter(events, func(event watch.Event) (watch.Event, bool) {
		if event.Type == watch.Error {
			return event, true
		}
		converted, err := v.convertor.ConvertToVersion(unwrap(event.Object), v.version)
		if err != nil {
			status := metav1.Status{Status: metav1.StatusFailure, Message: fmt.Sprintf("event of a watch: %v", err)}
			return watch.Event{Type: watch.Error, Object: &status}, true
		}
		event.Object = converted
		return event, true
	}), nil
}
