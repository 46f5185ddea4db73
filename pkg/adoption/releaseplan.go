package adoption

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// ReleasePlan is what releasing a selection takes.
type ReleasePlan struct {
	steps   []releaseStep
	skipped []string
	// native counts the Services that were created in Portolan and are not named.
	native int
}

// releaseStep is the release of one Service.
type releaseStep struct {
	types.NamespacedName
	// uid is that of Portolan's Service.
	uid types.UID
	// begun is true if the cluster has the Service already.
	begun bool
	text  string
}

// occupied has the Services of a cluster by what they hold: addresses and node ports.
type occupied map[string]types.NamespacedName

// MakeReleasePlan compares both sides. It asks the cluster whether it would take each
// Service. It fails if a Service that is named does not exist.
func MakeReleasePlan(ctx context.Context, sides Sides, selection Selection) (ReleasePlan, error) {
	// A Service of Portolan's can hold what any of the cluster's holds.
	theirs, err := ClusterServices(ctx, sides.Cluster, metav1.NamespaceAll)
	if err != nil {
		return ReleasePlan{}, fmt.Errorf("the cluster's Services: %w", err)
	}
	ours, err := selection.services(ctx, sides.Portolan)
	if err != nil {
		return ReleasePlan{}, err
	}
	taken := occupied{}
	for name, service := range theirs {
		for _, value := range valuesOf(service.Spec) {
			taken[value] = name
		}
	}
	var plan ReleasePlan
	for i := range ours {
		service := &ours[i]
		name := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
		if err := plan.add(ctx, sides, service, theirs[name], taken, selection); err != nil {
			return ReleasePlan{}, err
		}
	}
	slices.SortFunc(plan.steps, func(a, b releaseStep) int { return strings.Compare(a.String(), b.String()) })
	slices.Sort(plan.skipped)
	return plan, nil
}

// add adds a Service of Portolan. source is the cluster's of the same name, or nil.
func (p *ReleasePlan) add(ctx context.Context, sides Sides, service *v1.Service, source *corev1.Service, taken occupied,
	selection Selection) error {
	mirrored := v1.IsMirrored(service)
	begun := source != nil && (source.UID == service.UID || source.Annotations[v1.AnnotationReleasedFrom] == string(service.UID))
	skip := func(format string, args ...any) error {
		p.skipped = append(p.skipped, fmt.Sprintf("%s/%s: %s", service.Namespace, service.Name, fmt.Sprintf(format, args...)))
		return nil
	}
	switch {
	case mirrored:
		if source == nil || source.Annotations[v1.AnnotationReleasedFrom] == "" {
			return nil
		}
		begun = true
	case service.DeletionTimestamp != nil:
		return skip("it is being deleted")
	case v1.KeptByAPIServers(service):
		return skip("the API servers keep it")
	case service.Annotations[v1.AnnotationAdoptedFrom] == "" && len(selection.Names) == 0:
		p.native++
		return nil
	case !selection.Managed && keptBy(service) != "":
		return skip("%s", keptBy(service))
	case source != nil && !begun:
		return skip("the cluster has another Service of this name")
	case source == nil:
		if value, holder, conflict := taken.conflict(service); conflict {
			return skip("%s is taken at the cluster by the Service %s", value, holder)
		}
		_, err := sides.Cluster.CoreV1().Services(service.Namespace).Create(ctx, sourceOf(service),
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return skip("the cluster does not take it: %v", err)
		}
	}
	p.steps = append(p.steps, releaseStep{
		NamespacedName: types.NamespacedName{Namespace: service.Namespace, Name: service.Name},
		uid:            service.UID, begun: begun, text: describe(service),
	})
	return nil
}

// keptBy returns the reason for which a change of the Service's UID, or its becoming
// read-only here, would have effects beyond it, or "".
func keptBy(service *v1.Service) string {
	if owner := metav1.GetControllerOf(service); owner != nil {
		return fmt.Sprintf("%s %s controls it here, where it would be read-only", owner.Kind, owner.Name)
	}
	if len(service.Finalizers) > 0 {
		return "what set the finalizer " + service.Finalizers[0] + " acts on it here, where it would be read-only"
	}
	if service.Spec.Type == corev1.ServiceTypeLoadBalancer {
		return "the cluster's controller would make another load balancer for the new UID"
	}
	return ""
}

// valuesOf returns the values that a Service holds, in words.
func valuesOf(spec corev1.ServiceSpec) []string {
	var values []string
	for _, ip := range spec.ClusterIPs {
		if ip != corev1.ClusterIPNone && ip != "" {
			values = append(values, "address "+ip)
		}
	}
	for _, port := range spec.Ports {
		if port.NodePort != 0 {
			values = append(values, fmt.Sprintf("node port %d", port.NodePort))
		}
	}
	if spec.HealthCheckNodePort != 0 {
		values = append(values, fmt.Sprintf("node port %d", spec.HealthCheckNodePort))
	}
	return values
}

// conflict returns a value of a Service that another Service of the cluster holds.
func (o occupied) conflict(service *v1.Service) (value string, holder types.NamespacedName, found bool) {
	for _, value := range valuesOf(service.Spec) {
		if holder, found := o[value]; found {
			return value, holder, true
		}
	}
	return "", types.NamespacedName{}, false
}

// String formats the plan for people.
func (p ReleasePlan) String() string {
	var b strings.Builder
	for _, step := range p.steps {
		verb := "release"
		if step.begun {
			verb = "finish"
		}
		fmt.Fprintf(&b, "plan: %s %s (%s)\n", verb, step, step.text)
	}
	for _, skipped := range p.skipped {
		fmt.Fprintf(&b, "not released: %s\n", skipped)
	}
	if p.native > 0 {
		fmt.Fprintf(&b, "not released: %d created in Portolan, which were never the cluster's. Name them to release them.\n", p.native)
	}
	if len(p.steps) == 0 {
		b.WriteString("There is nothing to release.\n")
	}
	return b.String()
}
