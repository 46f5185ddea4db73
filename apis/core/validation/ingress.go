package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

// AnnotationIngressClass is the annotation that named an Ingress's class before
// networking/v1 had a field for it (upstream's networking/v1beta1).
const AnnotationIngressClass = "kubernetes.io/ingress.class"

var (
	// pathTypes are in upstream's order, which is alphabetical.
	pathTypes = []networkingv1.PathType{networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific, networkingv1.PathTypePrefix}
	// Servers normalize the paths of requests, so a rule with one of these never
	// matches.
	invalidPathSequences = []string{"//", "/./", "/../", "%2f", "%2F"}
	invalidPathSuffixes  = []string{"/..", "/."}
)

// ValidateIngressCreate validates a new Ingress (upstream's
// pkg/apis/networking/validation). The error path of the annotation is upstream's.
func ValidateIngressCreate(ingress *networkingv1.Ingress) field.ErrorList {
	errs := validateIngress(ingress)
	class, annotated := ingress.Annotations[AnnotationIngressClass]
	if name := ingress.Spec.IngressClassName; annotated && name != nil && *name != class {
		errs = append(errs, field.Invalid(field.NewPath("annotations").Child(AnnotationIngressClass), class,
			"must match `ingressClassName` when both are specified"))
	}
	return portolanvalidation.Bounded(errs)
}

// ValidateIngressUpdate validates an update of an Ingress. Upstream tolerates values
// that its older releases stored; Portolan never stored such values.
func ValidateIngressUpdate(ingress, old *networkingv1.Ingress) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&ingress.ObjectMeta, &old.ObjectMeta, metadataPath)
	return portolanvalidation.Bounded(append(errs, validateIngress(ingress)...))
}

// ValidateIngressStatusUpdate validates an update of an Ingress's status. Like upstream,
// it does not validate ports, and accepts addresses that are already stored.
func ValidateIngressStatusUpdate(ingress, old *networkingv1.Ingress) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&ingress.ObjectMeta, &old.ObjectMeta, metadataPath)
	stored := sets.New[string]()
	for i := range old.Status.LoadBalancer.Ingress {
		stored.Insert(old.Status.LoadBalancer.Ingress[i].IP)
	}
	for i := range ingress.Status.LoadBalancer.Ingress {
		point, path := &ingress.Status.LoadBalancer.Ingress[i], statusPath.Child("loadBalancer", "ingress").Index(i)
		if point.IP != "" && !stored.Has(point.IP) {
			errs = append(errs, utilvalidation.IsValidIPForLegacyField(path.Child("ip"), point.IP, true, nil)...)
		}
		if point.Hostname == "" {
			continue
		}
		errs = append(errs, portolanvalidation.Invalid(path.Child("hostname"), point.Hostname,
			utilvalidation.IsDNS1123Subdomain(point.Hostname))...)
		errs = append(errs, validateNoIP(point.Hostname, path.Child("hostname"))...)
	}
	return portolanvalidation.Bounded(errs)
}

func validateIngress(ingress *networkingv1.Ingress) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&ingress.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metadataPath)
	spec := &ingress.Spec
	if len(spec.Rules) == 0 && spec.DefaultBackend == nil {
		errs = append(errs, field.Invalid(specPath, spec.Rules, "either `defaultBackend` or `rules` must be specified"))
	}
	if spec.DefaultBackend != nil {
		errs = append(errs, validateBackend(spec.DefaultBackend, specPath.Child("defaultBackend"))...)
	}
	for i := range spec.Rules {
		errs = append(errs, validateRule(&spec.Rules[i], specPath.Child("rules").Index(i))...)
	}
	for i := range spec.TLS {
		errs = append(errs, validateTLS(&spec.TLS[i], specPath.Child("tls").Index(i))...)
	}
	if name := spec.IngressClassName; name != nil {
		errs = append(errs, portolanvalidation.Invalid(specPath.Child("ingressClassName"), *name,
			apivalidation.NameIsDNSSubdomain(*name, false))...)
	}
	return errs
}

func validateRule(rule *networkingv1.IngressRule, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if rule.Host != "" {
		errs = append(errs, validateNoIP(rule.Host, path.Child("host"))...)
		errs = append(errs, validateHost(rule.Host, path.Child("host"))...)
	}
	if rule.HTTP == nil {
		return errs
	}
	path = path.Child("http", "paths")
	if len(rule.HTTP.Paths) == 0 {
		errs = append(errs, field.Required(path, ""))
	}
	for i := range rule.HTTP.Paths {
		errs = append(errs, validateHTTPPath(&rule.HTTP.Paths[i], path.Index(i))...)
	}
	return errs
}

// validateHost accepts a DNS name, also with a wildcard as its first label.
func validateHost(host string, path *field.Path) field.ErrorList {
	if strings.Contains(host, "*") {
		return portolanvalidation.Invalid(path, host, utilvalidation.IsWildcardDNS1123Subdomain(host))
	}
	return portolanvalidation.Invalid(path, host, utilvalidation.IsDNS1123Subdomain(host))
}

func validateNoIP(host string, path *field.Path) field.ErrorList {
	if netutils.ParseIPSloppy(host) == nil {
		return nil
	}
	return field.ErrorList{field.Invalid(path, host, "must be a DNS name, not an IP address")}
}

func validateTLS(tls *networkingv1.IngressTLS, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, host := range tls.Hosts {
		errs = append(errs, validateHost(host, path.Child("hosts").Index(i))...)
	}
	if tls.SecretName != "" {
		errs = append(errs, portolanvalidation.Invalid(path.Child("secretName"), tls.SecretName,
			apivalidation.NameIsDNSSubdomain(tls.SecretName, false))...)
	}
	return errs
}

func validateHTTPPath(p *networkingv1.HTTPIngressPath, path *field.Path) field.ErrorList {
	if p.PathType == nil {
		return field.ErrorList{field.Required(path.Child("pathType"), "pathType must be specified")}
	}
	var errs field.ErrorList
	exact := *p.PathType != networkingv1.PathTypeImplementationSpecific
	switch {
	case !slices.Contains(pathTypes, *p.PathType):
		errs = append(errs, field.NotSupported(path.Child("pathType"), *p.PathType, pathTypes))
		exact = false
	case !strings.HasPrefix(p.Path, "/") && (exact || p.Path != ""):
		errs = append(errs, field.Invalid(path.Child("path"), p.Path, "must be an absolute path"))
	}
	if exact {
		errs = append(errs, validateTidy(p.Path, path.Child("path"))...)
	}
	return append(errs, validateBackend(&p.Backend, path.Child("backend"))...)
}

// validateTidy rejects paths that never match a normalized request path.
func validateTidy(text string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, sequence := range invalidPathSequences {
		if strings.Contains(text, sequence) {
			errs = append(errs, field.Invalid(path, text, fmt.Sprintf("must not contain '%s'", sequence)))
		}
	}
	for _, suffix := range invalidPathSuffixes {
		if strings.HasSuffix(text, suffix) {
			errs = append(errs, field.Invalid(path, text, fmt.Sprintf("cannot end with '%s'", suffix)))
		}
	}
	return errs
}

func validateBackend(backend *networkingv1.IngressBackend, path *field.Path) field.ErrorList {
	switch {
	case backend.Resource != nil && backend.Service != nil:
		return field.ErrorList{field.Invalid(path, "", "cannot set both resource and service backends")}
	case backend.Resource != nil:
		return validateResource(backend.Resource, path.Child("resource"))
	case backend.Service != nil:
		return validateServiceBackend(backend.Service, path)
	default:
		return field.ErrorList{field.Invalid(path, "", "resource or service backend is required")}
	}
}

// validateServiceBackend accepts the Service names of upstream's feature gate
// RelaxedServiceNameValidation, which is on by default (KEP-5311).
func validateServiceBackend(service *networkingv1.IngressServiceBackend, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	name, number := path.Child("service", "name"), service.Port.Number
	if service.Name == "" {
		errs = append(errs, field.Required(name, ""))
	} else {
		errs = append(errs, portolanvalidation.Invalid(name, service.Name, apivalidation.NameIsDNSLabel(service.Name, false))...)
	}
	switch port := path.Child("service", "port"); {
	case service.Port.Name != "" && number != 0:
		errs = append(errs, field.Invalid(path, "", "cannot set both port name & port number"))
	case service.Port.Name != "":
		errs = append(errs, portolanvalidation.Invalid(port.Child("name"), service.Port.Name,
			utilvalidation.IsValidPortName(service.Port.Name))...)
	case number != 0:
		errs = append(errs, portolanvalidation.Invalid(port.Child("number"), number, utilvalidation.IsValidPortNum(int(number)))...)
	default:
		errs = append(errs, field.Required(path, "port name or number is required"))
	}
	return errs
}

func validateResource(resource *corev1.TypedLocalObjectReference, path *field.Path) field.ErrorList {
	return validateReference(resource.APIGroup, resource.Kind, resource.Name, path)
}

// validateReference validates a reference from an Ingress or IngressClass to an object
// of any kind.
func validateReference(group *string, kind, name string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if group != nil {
		errs = append(errs, portolanvalidation.Invalid(path.Child("apiGroup"), *group, utilvalidation.IsDNS1123Subdomain(*group))...)
	}
	for _, segment := range []struct{ path, value string }{{"kind", kind}, {"name", name}} {
		if segment.value == "" {
			errs = append(errs, field.Required(path.Child(segment.path), ""))
		} else {
			errs = append(errs, portolanvalidation.Invalid(path.Child(segment.path), segment.value, content.IsPathSegmentName(segment.value))...)
		}
	}
	return errs
}
