package adoption

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
)

// Sides are clients of the cluster and of Portolan.
type Sides struct {
	Cluster  kubernetes.Interface
	Portolan versioned.Interface
}

// Selection selects Services.
type Selection struct {
	// Namespace is empty for all namespaces.
	Namespace string
	// Names are those of Services in the namespace. None means all.
	Names []string
	// Managed includes Services that controllers of the cluster act on.
	Managed bool
}

// Step is the adoption of one Service.
type Step struct {
	Namespace, Name string
	UID             types.UID
	// Text describes the Service.
	Text string
	// Adopt is true for a copy, and false for a Service that is Portolan's own already.
	Adopt bool
	// Finalizers are removed from the cluster's Service before it is deleted.
	Finalizers bool
}

func (s Step) name() string { return s.Namespace + "/" + s.Name }

// Plan lists the steps that adopt a selection.
type Plan struct {
	Steps []Step
	// Skipped lists the Services that are left alone, each with the reason.
	Skipped []string
}

// MakePlan compares the cluster with Portolan. It fails if a named Service does not exist.
func MakePlan(ctx context.Context, sides Sides, selection Selection) (Plan, error) {
	theirs, err := ClusterServices(ctx, sides.Cluster, selection.Namespace)
	if err != nil {
		return Plan{}, fmt.Errorf("the cluster's Services: %w", err)
	}
	ours, err := selection.services(ctx, sides.Portolan)
	if err != nil {
		return Plan{}, err
	}
	var plan Plan
	for i := range ours {
		service := &ours[i]
		source := theirs[types.NamespacedName{Namespace: service.Namespace, Name: service.Name}]
		plan.add(service, source, selection)
		delete(theirs, types.NamespacedName{Namespace: service.Namespace, Name: service.Name})
	}
	if len(selection.Names) == 0 {
		for name := range theirs {
			plan.Skipped = append(plan.Skipped, fmt.Sprintf("%s: it is not mirrored (does the mirror run? an event NotMirrored says why not)", name))
		}
	}
	slices.SortFunc(plan.Steps, func(a, b Step) int { return cmp.Compare(a.name(), b.name()) })
	slices.Sort(plan.Skipped)
	return plan, nil
}

// add adds a Service of Portolan. source is the cluster's of the same name, or nil.
func (p *Plan) add(service *v1.Service, source *corev1.Service, selection Selection) {
	mirrored := v1.IsMirrored(service)
	same := source != nil && source.UID == service.UID
	switch {
	case !mirrored && !same:
		// Portolan's own, and done with.
	case !same:
		p.skip(service, "the mirror has not caught up with the cluster yet: try again")
	case v1.KeptByAPIServers(service):
		p.skip(service, "the cluster's API server keeps it")
	case !selection.Managed && managedBy(source) != "":
		p.skip(service, managedBy(source))
	default:
		p.Steps = append(p.Steps, Step{
			Namespace: service.Namespace, Name: service.Name, UID: service.UID, Text: describe(service), Adopt: mirrored,
			Finalizers: len(source.Finalizers) > 0,
		})
	}
}

func (p *Plan) skip(service *v1.Service, reason string) {
	p.Skipped = append(p.Skipped, fmt.Sprintf("%s/%s: %s", service.Namespace, service.Name, reason))
}

// managedBy returns the reason for which deleting a Service at the cluster would have
// effects beyond it, or "".
func managedBy(service *corev1.Service) string {
	if owner := metav1.GetControllerOf(service); owner != nil {
		return fmt.Sprintf("%s %s controls it and would create it again at the cluster", owner.Kind, owner.Name)
	}
	if len(service.Finalizers) > 0 {
		return "what set the finalizer " + service.Finalizers[0] + " acts when the cluster's Service is deleted"
	}
	if service.Spec.Type == corev1.ServiceTypeLoadBalancer {
		return "the cluster's controller would take its load balancer away with the cluster's Service"
	}
	return ""
}

// describe names what a Service keeps.
func describe(service *v1.Service) string {
	parts := append([]string{string(service.Spec.Type)}, service.Spec.ClusterIPs...)
	for _, port := range service.Spec.Ports {
		if port.NodePort != 0 {
			parts = append(parts, fmt.Sprintf("node port %d", port.NodePort))
		}
	}
	return strings.Join(slices.Compact(parts), ", ")
}

// ClusterServices returns the Services that a cluster's API server has itself. It fails if the
// client is that of a gateway.
func ClusterServices(ctx context.Context, client kubernetes.Interface, namespace string) (map[types.NamespacedName]*corev1.Service, error) {
	found := map[types.NamespacedName]*corev1.Service{}
	list := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) {
		return client.CoreV1().Services(namespace).List(ctx, options)
	}))
	err := list.EachListItem(ctx, metav1.ListOptions{}, func(obj runtime.Object) error {
		service := obj.(*corev1.Service)
		if v1.IsMirrored(service) {
			return errNotACluster
		}
		found[types.NamespacedName{Namespace: service.Namespace, Name: service.Name}] = service
		return nil
	})
	return found, err
}

// services returns the selected Services of Portolan, its own and copies. It fails if one that
// is named does not exist.
func (s Selection) services(ctx context.Context, client versioned.Interface) ([]v1.Service, error) {
	found, err := portolanServices(ctx, client, s.Namespace)
	if err != nil {
		return nil, fmt.Errorf("the Services in Portolan: %w", err)
	}
	if len(s.Names) == 0 {
		return found, nil
	}
	found = slices.DeleteFunc(found, func(service v1.Service) bool { return !slices.Contains(s.Names, service.Name) })
	missing := slices.DeleteFunc(slices.Clone(s.Names), func(name string) bool {
		return slices.ContainsFunc(found, func(service v1.Service) bool { return service.Name == name })
	})
	if len(missing) > 0 {
		return nil, fmt.Errorf("there is no Service %s in the namespace %s of Portolan", strings.Join(missing, ", "), s.Namespace)
	}
	return found, nil
}

func portolanServices(ctx context.Context, client versioned.Interface, namespace string) ([]v1.Service, error) {
	var found []v1.Service
	list := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) {
		return client.PortolanV1().Services(namespace).List(ctx, options)
	}))
	err := list.EachListItem(ctx, metav1.ListOptions{}, func(obj runtime.Object) error {
		found = append(found, *obj.(*v1.Service))
		return nil
	})
	return found, err
}

// String formats the plan for people.
func (p Plan) String() string {
	var b strings.Builder
	for _, step := range p.Steps {
		verb := "adopt"
		if !step.Adopt {
			verb = "finish"
		}
		fmt.Fprintf(&b, "plan: %s %s (%s)\n", verb, step.name(), step.Text)
	}
	for _, skipped := range p.Skipped {
		fmt.Fprintf(&b, "not adopted: %s\n", skipped)
	}
	if len(p.Steps) == 0 {
		b.WriteString("There is nothing to adopt.\n")
	}
	return b.String()
}
