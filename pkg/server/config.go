package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	validating "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/etcd3"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	clientgoinformers "k8s.io/client-go/informers"
	admissionregistrationinformers "k8s.io/client-go/informers/admissionregistration/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	portolanadmission "github.com/portolan-dev/portolan/pkg/admission"
	"github.com/portolan-dev/portolan/pkg/admission/initializer"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/callers"
	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/customresources"
	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/flowcontrol"
	"github.com/portolan-dev/portolan/pkg/metrics"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/registry/review"
	"github.com/portolan-dev/portolan/pkg/server/apigroups"
	"github.com/portolan-dev/portolan/pkg/server/auth"
	"github.com/portolan-dev/portolan/pkg/server/options"
	portolanstorage "github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/txn"
	"github.com/portolan-dev/portolan/pkg/version"
)

// informerResync is the resync period of the framework's options.CoreAPIOptions.
const informerResync = 10 * time.Minute

// NewConfig returns the configuration of a server on a store. Files that the options name
// are reloaded until the context ends.
func NewConfig(ctx context.Context, o *options.Options, store *etcd.Store, files datadir.Files) (*Config, error) {
	scheme := apigroups.NewScheme()
	codecs := apigroups.NewCodecs(scheme)
	config := &Config{
		Generic: genericapiserver.NewRecommendedConfig(codecs),
		Extra: ExtraConfig{
			Scheme: scheme,
			Codecs: codecs,
			Store:  store,

			EtcdTimeout: o.Etcd.StorageConfig.HealthcheckTimeout,
			Seeds: Seeds{
				CIDRs: o.ClusterIPRanges, CIDRsFromFlag: o.Changed(options.ClusterIPRangeFlag),
				Ports: o.NodePortRanges, PortsFromFlag: o.Changed(options.NodePortRangeFlag),
			},
		},
	}
	apigroups.SetOpenAPI(&config.Generic.Config, scheme)
	if err := config.applyServing(ctx, o, files); err != nil {
		return nil, err
	}
	clients, err := config.newClients(o)
	if err != nil {
		return nil, err
	}
	if err := config.applyStorage(o, clients.namespaceLabels(o)); err != nil {
		return nil, err
	}
	config.warnOfPlaintext(ctx, o)
	if err := config.applyAuthorities(o, files); err != nil {
		return nil, err
	}
	if err := config.applyCluster(o, clients); err != nil {
		return nil, err
	}
	if err := config.applyServiceProxy(o); err != nil {
		return nil, err
	}
	if err := config.applyKubernetesService(o); err != nil {
		return nil, err
	}
	if err := config.applyControllers(o); err != nil {
		return nil, err
	}
	config.setHandlerChain()
	return config, nil
}

// applyServing sets up TLS, authentication, authorization, audit, tracing and limits.
func (c *Config) applyServing(ctx context.Context, o *options.Options, files datadir.Files) error {
	generic := &c.Generic.Config
	if err := o.Run.ApplyTo(generic); err != nil {
		return err
	}
	if generic.ExternalAddress == "" && generic.PublicAddress == nil {
		// Discovery reports this address. A server that others cannot reach reports the
		// address that it binds.
		generic.ExternalAddress = o.SecureServing.BindAddress.String()
		if address := o.Advertised(); address.IsValid() {
			generic.ExternalAddress = address.String()
		}
	}
	generic.EffectiveVersion = version.Effective(generic.EffectiveVersion)
	if err := o.Tracing.ApplyTo(nil, generic); err != nil {
		return fmt.Errorf("--tracing-config-file: %w", err)
	}
	if err := o.SecureServing.ApplyTo(&generic.SecureServing); err != nil {
		return err
	}
	if err := applyLoopback(generic, time.Now); err != nil {
		return fmt.Errorf("loopback connections: %w", err)
	}
	connections := callers.NewConnections(generic.SecureServing.Listener, o.Connections.MaxUnauthenticated,
		o.Connections.UnauthenticatedTimeout)
	generic.SecureServing.Listener, c.Extra.Connections = connections, connections
	authenticators, err := auth.ApplyTo(ctx, generic, o, files)
	if err != nil {
		return err
	}
	c.Extra.Policy, c.Extra.Removed, c.Extra.Issuer = authenticators.Policy, authenticators.Removed, authenticators.Issuer
	if o.Core() && !o.InCluster() {
		c.Extra.Reviews = &review.Config{
			Tokens: authenticators.Tokens, Audiences: generic.Authentication.APIAudiences,
			Authorizer: generic.Authorization.Authorizer, Rules: generic.RuleResolver,
		}
		c.Extra.Core = &CoreConfig{
			EventTTL: o.EventTTL, Policy: authenticators.Policy, Removed: authenticators.Removed, ClientCA: authenticators.ClientCA,
		}
	}
	if err := c.applyGateway(o, authenticators.Certificates); err != nil {
		return err
	}
	if err := o.Audit.ApplyTo(generic); err != nil {
		return fmt.Errorf("--audit-policy-file and its like: %w", err)
	}
	return nil
}

// applyStorage sets up the storage of resources in etcd.
func (c *Config) applyStorage(o *options.Options, namespaceLabels claims.NamespaceLabels) error {
	if err := c.applyEncoding(o); err != nil {
		return err
	}
	client := c.Extra.Store.Client
	compactor := etcd3.NewCompactor(client, o.Etcd.StorageConfig.CompactionInterval, clock.RealClock{}, func() {})
	c.Extra.StopCompactor = compactor.Stop
	index := allocation.New(time.Now)
	observed := metrics.New(index)
	var space txn.Space = c.Extra.Store.Alarms()
	if gate := c.Extra.Store.Maintain(o.EmbeddedQuotaBytes); gate != nil {
		space, c.Extra.Space = gate, gate
		observed.ExportStore(gate)
	}
	getter := &portolanstorage.Getter{
		Options:   c.Generic.RESTOptionsGetter,
		Client:    client,
		Compactor: compactor,
		Space:     space,
		Observe:   observed.Transaction,
		FastPages: c.Extra.Store.Embedded(),
	}
	reader := txn.Decorate(client, space, nil).Kubernetes
	mayRead := auth.MayRead(c.Generic.Authorization.Authorizer)
	ledger, err := claims.NewLedger(index, reader, getter, mayRead, namespaceLabels, observed)
	if err != nil {
		return err
	}
	c.Generic.RESTOptionsGetter = getter
	c.Extra.Backend = registry.Backend{Getter: getter, Ledger: ledger, Client: reader}
	c.Extra.Feed, c.Extra.Metrics = claims.NewFeed(ledger), observed
	return nil
}

// applyCluster sets up admission and its clients.
func (c *Config) applyCluster(o *options.Options, of clients) error {
	generic, client, informers := c.Generic, of.kubernetes, of.informers
	switch {
	case o.InCluster():
		generic.SharedInformerFactory = informers
		if !slices.Contains(o.Admission.DisablePlugins, validating.PluginName) {
			leaveToCluster(informers)
		}
		o.Admission.Decorators = append(o.Admission.Decorators, admission.DecoratorFunc(auth.ObserveAdmission))
	case o.Core():
		c.Extra.Core.Client, c.Extra.Core.Informers = client, informers
		// A policy for one of the groups that serve a kind sees the requests to all of them.
		generic.EquivalentResourceRegistry = runtime.NewEquivalentResourceRegistryWithIdentity(registry.StoredAs)
		client = portolanadmission.WithSchemas(client, registry.GroupVersions())
		if err := c.applyCustomResources(o); err != nil {
			return err
		}
	}
	if err := c.applyFeatures(o, client, informers); err != nil {
		return err
	}
	o.Admission.Decorators = append(o.Admission.Decorators, admission.DecoratorFunc(portolanadmission.ConvertEquivalent))
	plugins := initializer.New(c.Extra.Backend.Ledger, c.Extra.Feed.HasSynced, registry.ReviewResources())
	if err := o.Admission.ApplyTo(&generic.Config, portolanadmission.Informers(informers), client, of.dynamic, utilfeature.DefaultFeatureGate,
		generic.EffectiveVersion, []admission.PluginInitializer{plugins}...); err != nil {
		if o.Admission.ConfigFile != "" {
			return fmt.Errorf("--admission-control-config-file: %w", err)
		}
		return fmt.Errorf("admission: %w", err)
	}
	return nil
}

// applyCustomResources sets up custom resources.
func (c *Config) applyCustomResources(o *options.Options) error {
	contents, err := customresources.NewContents(unlimited(c.Generic.LoopbackClientConfig))
	if err != nil {
		return err
	}
	c.Extra.Core.CustomResources = contents
	c.Extra.CustomResources = &customresources.Config{Etcd: *o.Etcd, Replicated: !o.Embedded()}
	return nil
}

// leaveToCluster makes informers leave out the bindings of policies that only the cluster
// enforces. What the factory has made it does not make again. Without the plugin that needs
// this informer, the server may not have the right to watch bindings.
func leaveToCluster(informers clientgoinformers.SharedInformerFactory) {
	elsewhere := v1.LabelEnforcedBy + "!=" + v1.EnforcedByCluster
	informers.InformerFor(&admissionregistrationv1.ValidatingAdmissionPolicyBinding{},
		func(client kubernetes.Interface, resync time.Duration) cache.SharedIndexInformer {
			return admissionregistrationinformers.NewFilteredValidatingAdmissionPolicyBindingInformer(client, resync,
				cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc},
				func(options *metav1.ListOptions) { options.LabelSelector = elsewhere })
		})
}

// applyFeatures sets up priority and fairness, among other features. The priority levels
// are those of the cluster or, for a standalone server, built in.
func (c *Config) applyFeatures(o *options.Options, client kubernetes.Interface, informers clientgoinformers.SharedInformerFactory) error {
	if o.InCluster() {
		return o.Features.ApplyTo(&c.Generic.Config, client, informers)
	}
	builtIn := flowcontrol.NewInformers()
	if err := o.Features.ApplyTo(&c.Generic.Config, client, builtIn); err != nil {
		return err
	}
	return c.Generic.AddPostStartHook("portolan-flow-control", func(hook genericapiserver.PostStartHookContext) error {
		builtIn.StartWithContext(hook)
		return nil
	})
}
