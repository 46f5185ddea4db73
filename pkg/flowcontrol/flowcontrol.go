// Package flowcontrol has the FlowSchemas and PriorityLevelConfigurations of a
// server without a cluster. They are the ones that every cluster begins with, and
// two for the groups of users of such a server. They can't be changed.
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

// probes are the paths of the health checks. Upstream's schema has only the first
// three.
var probes = []string{"/healthz", "/livez", "/readyz", "/healthz/*", "/livez/*", "/readyz/*"}

// NewInformers makes informers that know the built-in objects, and nothing else.
// They ask nobody.
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

// unchanging can't be watched for its initial state.
type unchanging struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported has it listed before it is watched.
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
	// Both come before service-accounts and global-default. A writer who reads as
	// well is a writer.
	schemas = append(schemas,
		groupSchema("portolan-writers", users.Writers, bootstrap.SuggestedPriorityLevelConfigurationWorkloadHigh.Name, 1000),
		groupSchema("portolan-readers", users.Readers, bootstrap.SuggestedPriorityLevelConfigurationWorkloadLow.Name, 1100))
	for i := range schemas {
		notDangling(&schemas[i])
	}
	return schemas
}

// groupSchema puts what members of a group ask for on a level, where each of them
// gets a fair share.
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

// notDangling gives a schema the condition that the framework would write into
// it otherwise.
func notDangling(schema *flowcontrolv1.FlowSchema) {
	schema.Status.Conditions = []flowcontrolv1.FlowSchemaCondition{{
		Type:   flowcontrolv1.FlowSchemaConditionDangling,
		Status: flowcontrolv1.ConditionFalse,
		Reason: "Found",
		Message: fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q and it exists",
			schema.Spec.PriorityLevelConfiguration.Name),
	}}
}
