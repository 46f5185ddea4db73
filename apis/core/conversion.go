package core

import (
	"errors"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// addConversions registers the conversions. Like upstream's generated conversions, they
// are shallow: both objects share what they point to.
func addConversions(scheme *runtime.Scheme) error {
	return errors.Join(
		addConversion(scheme,
			func(in *corev1.Service) v1.Service { return v1.Service(*in) },
			func(in *v1.Service) corev1.Service { return corev1.Service(*in) }),
		addConversion(scheme,
			func(in *corev1.ServiceList) v1.ServiceList {
				return v1.ServiceList{ListMeta: in.ListMeta, Items: same[v1.Service](in.Items)}
			},
			func(in *v1.ServiceList) corev1.ServiceList {
				return corev1.ServiceList{ListMeta: in.ListMeta, Items: same[corev1.Service](in.Items)}
			}),
		addConversion(scheme,
			func(in *corev1.Endpoints) v1.Endpoints { return v1.Endpoints(*in) },
			func(in *v1.Endpoints) corev1.Endpoints { return corev1.Endpoints(*in) }),
		addConversion(scheme,
			func(in *corev1.EndpointsList) v1.EndpointsList {
				return v1.EndpointsList{ListMeta: in.ListMeta, Items: same[v1.Endpoints](in.Items)}
			},
			func(in *v1.EndpointsList) corev1.EndpointsList {
				return corev1.EndpointsList{ListMeta: in.ListMeta, Items: same[corev1.Endpoints](in.Items)}
			}),
		addConversion(scheme,
			func(in *discoveryv1.EndpointSlice) v1.EndpointSlice { return v1.EndpointSlice(*in) },
			func(in *v1.EndpointSlice) discoveryv1.EndpointSlice { return discoveryv1.EndpointSlice(*in) }),
		addConversion(scheme,
			func(in *discoveryv1.EndpointSliceList) v1.EndpointSliceList {
				return v1.EndpointSliceList{ListMeta: in.ListMeta, Items: same[v1.EndpointSlice](in.Items)}
			},
			func(in *v1.EndpointSliceList) discoveryv1.EndpointSliceList {
				return discoveryv1.EndpointSliceList{ListMeta: in.ListMeta, Items: same[discoveryv1.EndpointSlice](in.Items)}
			}),
		addConversion(scheme, cidrFrom, cidrTo),
		addConversion(scheme,
			func(in *networkingv1.ServiceCIDRList) v1.ServiceCIDRList {
				return v1.ServiceCIDRList{ListMeta: in.ListMeta, Items: each(in.Items, cidrFrom)}
			},
			func(in *v1.ServiceCIDRList) networkingv1.ServiceCIDRList {
				return networkingv1.ServiceCIDRList{ListMeta: in.ListMeta, Items: each(in.Items, cidrTo)}
			}),
		addConversion(scheme, addressFrom, addressTo),
		addConversion(scheme,
			func(in *networkingv1.IPAddressList) v1.IPAddressList {
				return v1.IPAddressList{ListMeta: in.ListMeta, Items: each(in.Items, addressFrom)}
			},
			func(in *v1.IPAddressList) networkingv1.IPAddressList {
				return networkingv1.IPAddressList{ListMeta: in.ListMeta, Items: each(in.Items, addressTo)}
			}),
		addConversion(scheme, eventFrom, eventTo),
		addConversion(scheme,
			func(in *eventsv1.EventList) corev1.EventList {
				return corev1.EventList{ListMeta: in.ListMeta, Items: each(in.Items, eventFrom)}
			},
			func(in *corev1.EventList) eventsv1.EventList {
				return eventsv1.EventList{ListMeta: in.ListMeta, Items: each(in.Items, eventTo)}
			}),
	)
}

// addConversion registers the conversions between two types. The scheme sets the kind of
// the result.
func addConversion[Upstream, Own any](scheme *runtime.Scheme, from func(*Upstream) Own, to func(*Own) Upstream) error {
	return errors.Join(
		scheme.AddConversionFunc((*Upstream)(nil), (*Own)(nil), func(in, out any, _ conversion.Scope) error {
			*out.(*Own) = from(in.(*Upstream))
			return nil
		}),
		scheme.AddConversionFunc((*Own)(nil), (*Upstream)(nil), func(in, out any, _ conversion.Scope) error {
			*out.(*Upstream) = to(in.(*Own))
			return nil
		}),
	)
}

// same reinterprets a slice as one of another type with the same fields. Go converts
// single values of such types but not slices. The conversions of single values above let
// the compiler check that the fields are the same.
func same[To, From any](items []From) []To {
	return unsafe.Slice((*To)(unsafe.Pointer(unsafe.SliceData(items))), len(items))
}

// each converts items one by one. Nil stays nil, and an empty slice stays empty.
func each[From, To any](items []From, convert func(*From) To) []To {
	if items == nil {
		return nil
	}
	converted := make([]To, len(items))
	for i := range items {
		converted[i] = convert(&items[i])
	}
	return converted
}

func cidrFrom(in *networkingv1.ServiceCIDR) v1.ServiceCIDR {
	return v1.ServiceCIDR{
		ObjectMeta: in.ObjectMeta,
		Spec:       v1.ServiceCIDRSpec{CIDRs: in.Spec.CIDRs},
		Status:     v1.ServiceCIDRStatus{Conditions: in.Status.Conditions},
	}
}

func cidrTo(in *v1.ServiceCIDR) networkingv1.ServiceCIDR {
	return networkingv1.ServiceCIDR{
		ObjectMeta: in.ObjectMeta,
		Spec:       networkingv1.ServiceCIDRSpec{CIDRs: in.Spec.CIDRs},
		Status:     networkingv1.ServiceCIDRStatus{Conditions: in.Status.Conditions},
	}
}

func addressFrom(in *networkingv1.IPAddress) v1.IPAddress {
	out := v1.IPAddress{ObjectMeta: in.ObjectMeta}
	if ref := in.Spec.ParentRef; ref != nil {
		out.Spec.ParentRef = &v1.ParentReference{Group: ref.Group, Resource: ref.Resource, Namespace: ref.Namespace, Name: ref.Name}
	}
	return out
}

func addressTo(in *v1.IPAddress) networkingv1.IPAddress {
	return networkingv1.IPAddress{ObjectMeta: in.ObjectMeta, Spec: networkingv1.IPAddressSpec{ParentRef: Holder(in.Spec.ParentRef)}}
}

// eventFrom converts an Event of events.k8s.io, which has the fields of core v1 under
// other names (upstream's pkg/apis/events/v1).
func eventFrom(in *eventsv1.Event) corev1.Event {
	return corev1.Event{
		ObjectMeta:          in.ObjectMeta,
		InvolvedObject:      in.Regarding,
		Related:             in.Related,
		Reason:              in.Reason,
		Message:             in.Note,
		Source:              in.DeprecatedSource,
		FirstTimestamp:      in.DeprecatedFirstTimestamp,
		LastTimestamp:       in.DeprecatedLastTimestamp,
		Count:               in.DeprecatedCount,
		Type:                in.Type,
		EventTime:           in.EventTime,
		Series:              (*corev1.EventSeries)(in.Series),
		Action:              in.Action,
		ReportingController: in.ReportingController,
		ReportingInstance:   in.ReportingInstance,
	}
}

// eventTo is the inverse of eventFrom.
func eventTo(in *corev1.Event) eventsv1.Event {
	return eventsv1.Event{
		ObjectMeta:               in.ObjectMeta,
		Regarding:                in.InvolvedObject,
		Related:                  in.Related,
		Reason:                   in.Reason,
		Note:                     in.Message,
		DeprecatedSource:         in.Source,
		DeprecatedFirstTimestamp: in.FirstTimestamp,
		DeprecatedLastTimestamp:  in.LastTimestamp,
		DeprecatedCount:          in.Count,
		Type:                     in.Type,
		EventTime:                in.EventTime,
		Series:                   (*eventsv1.EventSeries)(in.Series),
		Action:                   in.Action,
		ReportingController:      in.ReportingController,
		ReportingInstance:        in.ReportingInstance,
	}
}
