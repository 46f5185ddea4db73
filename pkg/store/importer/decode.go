package importer

import (
	"bytes"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// Keys of a cluster's etcd below the prefix (upstream's pkg/registry/core/rest and
// pkg/kubeapiserver/default_storage_factory_builder.go).
const (
	serviceKeys   = "services/specs/"
	endpointsKeys = "services/endpoints/"
	sliceKeys     = "endpointslices/"
	addressKeys   = "ipaddresses/"
	cidrKeys      = "servicecidrs/"
	namespaceKeys = "namespaces/"
	portBitmap    = "ranges/servicenodeports"
	addressBitmap = "ranges/serviceips"
	secondBitmap  = "ranges/secondaryserviceips"
)

// decoder decodes stored values into contents.
type decoder struct {
	root     string
	contents Contents
}

func newDecoder(prefix string) *decoder { return &decoder{root: rootOf(prefix)} }

// kindOf returns the beginning of a key that tells the kind, and whether the importer
// imports it.
func (d *decoder) kindOf(key string) (kind string, wanted bool) {
	key = strings.TrimPrefix(key, d.root)
	for _, kind := range []string{
		serviceKeys, endpointsKeys, sliceKeys, addressKeys, cidrKeys, namespaceKeys, portBitmap, addressBitmap, secondBitmap,
	} {
		if strings.HasPrefix(key, kind) {
			return kind, true
		}
	}
	return "", false
}

// decode adds a stored value to the contents.
func (d *decoder) decode(key string, value []byte) {
	kind, _ := d.kindOf(key)
	key = strings.TrimPrefix(key, d.root)
	reject := func(format string, args ...any) {
		d.contents.Unreadable = append(d.contents.Unreadable, Unreadable{Key: key, Reason: fmt.Sprintf(format, args...)})
	}
	if sealed, encrypted := bytes.CutPrefix(value, []byte("k8s:enc:")); encrypted {
		provider, _, _ := bytes.Cut(sealed[:min(len(sealed), 40)], []byte(":"))
		d.contents.Unreadable = append(d.contents.Unreadable, Unreadable{
			Key: key, Encrypted: true, Reason: fmt.Sprintf("is encrypted at rest, with %q", provider),
		})
		return
	}
	obj, version, err := scheme.Codecs.UniversalDeserializer().Decode(value, nil, nil)
	if err != nil {
		reject("can't be decoded: %v", err)
		return
	}
	if want := keyOf(kind, obj); want != key {
		reject("is the key of an object that is %s %s", version, want)
		return
	}
	if !d.contents.add(kind, obj) {
		reject("is stored as %s, which this release can't read: update the object in the cluster, which rewrites it", version)
	}
}

// keyOf returns the key of an object.
func keyOf(kind string, obj runtime.Object) string {
	if !strings.HasSuffix(kind, "/") {
		return kind
	}
	object, ok := obj.(metav1.Object)
	if !ok {
		return kind
	}
	return kind + nameOf(object)
}

// nameOf returns "namespace/name", or the name of a cluster-scoped object.
func nameOf(object metav1.Object) string {
	if object.GetNamespace() == "" {
		return object.GetName()
	}
	return object.GetNamespace() + "/" + object.GetName()
}

// add adds an object, if its type is that of the kind.
func (c *Contents) add(kind string, obj runtime.Object) bool {
	switch o := obj.(type) {
	case *corev1.Service:
		c.Services = append(c.Services, *o)
	case *corev1.Endpoints:
		c.Endpoints = append(c.Endpoints, *o)
	case *discoveryv1.EndpointSlice:
		c.EndpointSlices = append(c.EndpointSlices, *o)
	case *networkingv1.IPAddress:
		c.IPAddresses = append(c.IPAddresses, *o)
	case *networkingv1.ServiceCIDR:
		c.ServiceCIDRs = append(c.ServiceCIDRs, *o)
	case *networkingv1beta1.IPAddress:
		address := networkingv1.IPAddress{ObjectMeta: o.ObjectMeta}
		if o.Spec.ParentRef != nil {
			parent := networkingv1.ParentReference(*o.Spec.ParentRef)
			address.Spec.ParentRef = &parent
		}
		c.IPAddresses = append(c.IPAddresses, address)
	case *networkingv1beta1.ServiceCIDR:
		c.ServiceCIDRs = append(c.ServiceCIDRs, networkingv1.ServiceCIDR{
			ObjectMeta: o.ObjectMeta, Spec: networkingv1.ServiceCIDRSpec(o.Spec), Status: networkingv1.ServiceCIDRStatus(o.Status),
		})
	case *corev1.Namespace:
		c.Namespaces = append(c.Namespaces, *o)
	case *corev1.RangeAllocation:
		bitmap := newBitmap(o)
		switch {
		case kind == portBitmap:
			c.Ports = &bitmap
		// A range that was never used is stored empty.
		case o.Range != "":
			c.Addresses = append(c.Addresses, bitmap)
		}
	default:
		return false
	}
	return true
}
