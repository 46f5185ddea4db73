package claims

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/service"
)

// ports are node ports. Their claims are NodePorts, their ranges NodePortRanges.
type ports struct{}

var _ kind = ports{}

func (ports) names() names {
	return names{
		noun: "port", claims: "nodeports", ranges: "nodeportranges", rangeKind: "NodePortRange",
	}
}

func (ports) classes() []allocation.Class { return []allocation.Class{allocation.Port} }

// observesBlocks returns false: upstream's metrics of node ports have no label for a block,
// and a range may have many.
func (ports) observesBlocks() bool { return false }

func (ports) parse(name string) (allocation.Value, bool) {
	port, err := strconv.ParseInt(name, 10, 32)
	return allocation.NodePort(int32(port)), err == nil
}

func (ports) newClaim() runtime.Object { return &v1.NodePort{} }

func (ports) heldClaim(name string, held holding, owner *v1.Service) runtime.Object {
	return v1.NewHeldPort(name, held.protocols, owner)
}

// heldLabels returns nil: the server sets no labels on NodePorts.
func (ports) heldLabels(string) map[string]string { return nil }

// reserve records which port of the Service had the node port.
func (k ports) reserve(claim runtime.Object, owner *v1.Service, expires *metav1.Time) {
	port := claim.(*v1.NodePort)
	port.Spec.ExpirationTimestamp = expires
	if value, ok := k.parse(port.Name); ok {
		servicePorts, healthCheck := service.PortsOn(owner, value.Number.Port())
		port.Spec.ServicePorts, port.Spec.HealthCheck = servicePorts, nil
		if healthCheck {
			port.Spec.HealthCheck = &healthCheck
		}
	}
}

func (k ports) claim(obj runtime.Object) (contents, bool) {
	port, ok := obj.(*v1.NodePort)
	if !ok {
		return contents{}, false
	}
	return contents{
		kind: k, meta: &port.ObjectMeta, parent: port.Spec.ParentRef, protocols: &port.Spec.Protocols, spec: &port.Spec,
		terms: allocation.Terms{
			Expires: timeOf(port.Spec.ExpirationTimestamp), Protocols: port.Spec.Protocols,
			ServicePorts: port.Spec.ServicePorts, HealthCheck: ptr.Deref(port.Spec.HealthCheck, false),
		},
	}, true
}

func (ports) newRange() runtime.Object { return &v1.NodePortRange{} }

func (ports) offers(obj runtime.Object, revision int64) []offer {
	r := obj.(*v1.NodePortRange)
	var blocks []allocation.Block
	if spans, err := space.PortSpans(r.Spec.Ports, r.Spec.StaticBand); err == nil {
		for i, span := range spans {
			blocks = append(blocks, allocation.Block{Text: r.Spec.Ports[i], Span: span})
		}
	}
	return []offer{{allocation.Port, allocation.Range{
		Name: r.Name, Revision: revision, Blocks: blocks,
		Usable: r.DeletionTimestamp == nil,
		Policy: allocation.PortPolicy(&r.Spec),
	}}}
}

func (ports) conditions(obj runtime.Object) *[]metav1.Condition {
	if r, ok := obj.(*v1.NodePortRange); ok {
		return &r.Status.Conditions
	}
	return nil
}

func (ports) spans(obj runtime.Object) []space.Span {
	r, ok := obj.(*v1.NodePortRange)
	if !ok {
		return nil
	}
	spans, err := space.PortSpans(r.Spec.Ports, nil)
	if err != nil {
		return nil
	}
	return spans
}

func (ports) shrinks(before, after runtime.Object) *field.Path {
	if slices.Equal(before.(*v1.NodePortRange).Spec.Ports, after.(*v1.NodePortRange).Spec.Ports) {
		return nil
	}
	return field.NewPath("spec", "ports")
}

func (ports) asks(svc *v1.Service) allocation.Requester {
	return allocation.Requester{Range: svc.Annotations[v1.NodePortRangeAnnotation]}
}

func (ports) rangePath(*v1.Service) *field.Path {
	return field.NewPath("metadata", "annotations").Key(v1.NodePortRangeAnnotation)
}

func (ports) addHoldings(svc *v1.Service, to holdings) {
	for port, protocols := range service.NodePorts(svc) {
		to[allocation.NodePort(port)] = holding{protocols: protocols}
	}
}

func (ports) addPositions(svc *v1.Service, to positions) {
	for i := range svc.Spec.Ports {
		to.add(allocation.NodePort(svc.Spec.Ports[i].NodePort))
	}
	to.add(allocation.NodePort(svc.Spec.HealthCheckNodePort))
}

func (ports) substitute(svc *v1.Service, old, replacement allocation.Value) {
	spec := &svc.Spec
	for i := range spec.Ports {
		if spec.Ports[i].NodePort == old.Number.Port() {
			spec.Ports[i].NodePort = replacement.Number.Port()
		}
	}
	if spec.HealthCheckNodePort == old.Number.Port() {
		spec.HealthCheckNodePort = replacement.Number.Port()
	}
}

// fixedBy returns nil: node ports are part of the spec.
func (ports) fixedBy(*v1.Service, allocation.Value) *field.Path { return nil }

// withdraw returns false: a Service is not created without its ports.
func (ports) withdraw(*v1.Service, allocation.Value, error) bool { return false }

func (ports) fieldError(svc *v1.Service, value allocation.Value, cause error) *field.Error {
	port := value.Number.Port()
	path := field.NewPath("spec", "healthCheckNodePort")
	for i := range svc.Spec.Ports {
		if svc.Spec.Ports[i].NodePort == port {
			path = field.NewPath("spec", "ports").Index(i).Child("nodePort")
			break
		}
	}
	return field.Invalid(path, port, PortText(cause))
}

// PortText words why a Service can't have a port, as upstream does.
func PortText(cause error) string {
	if outside, ok := errors.AsType[*outOfRangeError](cause); ok {
		return "provided port is not in the valid range. The range of valid ports is " + strings.Join(outside.usable, ",")
	}
	if full, ok := errors.AsType[*allocation.ExhaustedError](cause); ok {
		return "failed to allocate a nodePort: " + full.Error()
	}
	if refused, ok := errors.AsType[*allocation.RefusedError](cause); ok {
		return "provided port is refused: " + refused.Error()
	}
	if taken, ok := errors.AsType[*takenError](cause); ok {
		return "provided port is " + taken.Error()
	}
	return cause.Error()
}
