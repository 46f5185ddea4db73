// Package flowcontrol has the FlowSchemas and PriorityLevelConfigurations of a standalone
// server: the defaults of every cluster, and two FlowSchemas for the groups of the
// server's users. They cannot be changed.
package flowcontrol

import (
	"context"
	"fmt"
	"slices"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/portolan-dev/portolan/pkg/users"
)

// probes are the paths of the health checks. Upstream's schema has the first three only.
var probes = []string{"/healthz", "/livez", "/readyz", "/healthz/*", "/livez/*", "/readyz/*"}

// NewInformers returns informers of the built-in objects. They send no requests.
func NewInformers() informers.SharedInformerFactory {
	factory := informers.NewSharedInformerFactory(nil, 0)
	levels := &flowcontrolv1.PriorityLevelConfigurationList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	for _, level := range slices.Concat(bootstrap.MandatoryPriorityLevelConfigurations, bootstrap.SuggestedPriorityLevelConfigurations) {
		levels.Items = append(levels.Items, *level.DeepCopy())
	}
	schemas := &flowcontrolv1.FlowSchemaList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: flowSchemas()}
	inform(factory, &flowcontrolv1.PriorityLevelConfiguration{}, levels)
	inform(factory, &flowcontrolv1.FlowSchema{}, schemas)
	return factory
}

func inform(factory informers.SharedInformerFactory, example, list runtime.Object) {
	unchanging := unchanging{&cache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) { return list, nil },
		WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) {
			return watch.NewProxyWatcher(make(chan watch.Event)), nil
		},
	}}
	factory.InformerFor(example, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
		return cache.NewSharedIndexInformer(unchanging, example, 0, cache.Indexers{})
	})
}

// unchanging is a ListWatch whose watch sends no initial events.
type unchanging struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported makes a reflector list the objects before it watches.
func (unchanging) IsWatchListSemanticsUnSupported() bool { return true }

func flowSchemas() []flowcontrolv1.FlowSchema {
	var schemas []flowcontrolv1.FlowSchema
	for _, schema := range slices.Concat(bootstrap.MandatoryFlowSchemas, bootstrap.SuggestedFlowSchemas) {
		schema = schema.DeepCopy()
		if schema.Name == bootstrap.SuggestedFlowSchemaProbes.Name {
			schema.Spec.Rules[0].NonResourceRules[0].NonResourceURLs = probes
		}
		schemas = append(schemas, *schema)
	}
	// Both have precedence over service-accounts and global-default. A member of both
	// groups is a writer.
	schemas = append(schemas,
		groupSchema("portolan-writers", users.Writers, bootstrap.SuggestedPriorityLevelConfigurationWorkloadHigh.Name, 1000),
		groupSchema("portolan-readers", users.Readers, bootstrap.SuggestedPriorityLevelConfigurationWorkloadLow.Name, 1100))
	for i := range schemas {
		notDangling(&schemas[i])
	}
	return schemas
}

// groupSchema assigns the requests of a group's members to a level, with a fair share for
// each member.
func groupSchema(name, group, level string, precedence int32) flowcontrolv1.FlowSchema {
	schema := bootstrap.SuggestedFlowSchemaGlobalDefault.DeepCopy()
	schema.Name = name
	schema.Spec.PriorityLevelConfiguration.Name = level
	schema.Spec.MatchingPrecedence = precedence
	schema.Spec.Rules[0].Subjects = []flowcontrolv1.Subject{
		{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: group}},
	}
	return *schema
}

// notDangling sets the condition that the framework would otherwise write to the schema.
func notDangling(schema *flowcontrolv1.FlowSchema) {
	schema.Status.Conditions = []flowcontrolv1.FlowSchemaCondition{{
		Type:   flowcontrolv1.FlowSchemaConditionDangling,
		Status: flowcontrolv1.ConditionFalse,
		Reason: "Found",
		Message: fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q and it exists",
			schema.Spec.PriorityLevelConfiguration.Name),
	}}
}
