// Package contents keeps what every namespace contains, which kube-controller-manager does
// in a cluster (pkg/controller/serviceaccount,
// pkg/controller/certificates/rootcacertpublisher):
//
//   - The ServiceAccount default.
//   - The ConfigMap kube-root-ca.crt with the authorities of the server's certificate.
//
// Replicas have different authorities. Each adds its own to the ConfigMap in kube-system,
// and those of the other namespaces are copies of that one. All replicas do this at once.
// Each accepts what another has already done.
package contents

import (
	"context"
	"errors"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	clientgoinformers "k8s.io/client-go/informers"
	corev1informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
	"github.com/portolan-dev/portolan/pkg/standalone/trust"
)

const (
	account = "default"
	rootCA  = "kube-root-ca.crt"
	rootKey = "ca.crt"
	// description is upstream's.
	descriptionKey = "kubernetes.io/description"
	description    = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)

// Controller keeps the contents of namespaces.
type Controller struct {
	client     corev1client.CoreV1Interface
	own        []byte
	namespaces corelisters.NamespaceLister
	accounts   corelisters.ServiceAccountLister
	configMaps corelisters.ConfigMapLister
	// informers are those that only the controller has. synced has all that it needs.
	informers []clientgoinformers.SharedInformerFactory
	synced    []cache.InformerSynced
	loop      *reconcile.Loop
}

// New returns a controller that publishes the server's own authorities, as PEM. The informer
// of namespaces is the caller's to start.
func New(client kubernetes.Interface, namespaces corev1informers.NamespaceInformer, own []byte) (*Controller, error) {
	named := func(name string) clientgoinformers.SharedInformerFactory {
		return clientgoinformers.NewSharedInformerFactoryWithOptions(client, 0,
			clientgoinformers.WithTweakListOptions(func(options *metav1.ListOptions) {
				options.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
			}))
	}
	accountInformers, configMapInformers := named(account), named(rootCA)
	accounts, configMaps := accountInformers.Core().V1().ServiceAccounts(), configMapInformers.Core().V1().ConfigMaps()
	c := &Controller{
		client: client.CoreV1(), own: own,
		namespaces: namespaces.Lister(), accounts: accounts.Lister(), configMaps: configMaps.Lister(),
		informers: []clientgoinformers.SharedInformerFactory{accountInformers, configMapInformers},
	}
	c.loop = reconcile.New("namespace-contents", c.sync)
	var errs []error
	watch := func(informer cache.SharedIndexInformer, handler cache.ResourceEventHandler) {
		registration, err := informer.AddEventHandler(handler)
		errs = append(errs, err)
		if err == nil {
			c.synced = append(c.synced, registration.HasSynced)
		}
	}
	watch(namespaces.Informer(), cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.enqueue(metav1.Object.GetName, obj) },
		UpdateFunc: func(_, obj any) { c.enqueue(metav1.Object.GetName, obj) },
	})
	watch(accounts.Informer(), cache.ResourceEventHandlerFuncs{
		DeleteFunc: func(obj any) { c.enqueue(metav1.Object.GetNamespace, obj) },
	})
	watch(configMaps.Informer(), cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.enqueue(metav1.Object.GetNamespace, obj) },
		UpdateFunc: func(_, obj any) { c.enqueue(metav1.Object.GetNamespace, obj) },
		DeleteFunc: func(obj any) { c.enqueue(metav1.Object.GetNamespace, obj) },
	})
	return c, errors.Join(errs...)
}

// enqueue looks again at a namespace, which a function returns for an object. The copies
// follow the ConfigMap of kube-system.
func (c *Controller) enqueue(of func(metav1.Object) string, obj any) {
	object, ok := obj.(metav1.Object)
	if tombstone, missed := obj.(cache.DeletedFinalStateUnknown); missed {
		object, ok = tombstone.Obj.(metav1.Object)
	}
	if !ok {
		return
	}
	c.loop.Add(of(object))
	if object.GetNamespace() != metav1.NamespaceSystem || object.GetName() != rootCA {
		return
	}
	all, err := c.namespaces.List(labels.Everything())
	if err != nil {
		return
	}
	for _, namespace := range all {
		c.loop.Add(namespace.Name)
	}
}

// Run keeps the contents of namespaces until ctx ends.
func (c *Controller) Run(ctx context.Context) {
	for _, informers := range c.informers {
		informers.StartWithContext(ctx)
		defer informers.Shutdown()
	}
	if !cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		return
	}
	c.loop.Run(ctx, 1)
}

func (c *Controller) sync(ctx context.Context, name string) error {
	namespace, err := c.namespaces.Get(name)
	if apierrors.IsNotFound(err) || err == nil && namespace.Status.Phase != corev1.NamespaceActive {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(c.ensureAccount(ctx, name), c.ensureRootCA(ctx, name))
}

func (c *Controller) ensureAccount(ctx context.Context, namespace string) error {
	if _, err := c.accounts.ServiceAccounts(namespace).Get(account); err == nil {
		return nil
	}
	made := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}
	_, err := c.client.ServiceAccounts(namespace).Create(ctx, made, metav1.CreateOptions{})
	return ignored(err)
}

// ensureRootCA writes the ConfigMap if it differs. Until the one in kube-system is there,
// there is nothing to copy.
func (c *Controller) ensureRootCA(ctx context.Context, namespace string) error {
	authorities := ""
	source, err := c.configMaps.ConfigMaps(metav1.NamespaceSystem).Get(rootCA)
	switch {
	case err == nil:
		authorities = source.Data[rootKey]
	case namespace != metav1.NamespaceSystem:
		return nil
	}
	if namespace == metav1.NamespaceSystem {
		authorities = string(trust.Merge([]byte(authorities), c.own, time.Now()))
	}
	data := map[string]string{rootKey: authorities}
	current, err := c.configMaps.ConfigMaps(namespace).Get(rootCA)
	if err != nil {
		made := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: rootCA, Annotations: map[string]string{descriptionKey: description}}, Data: data,
		}
		_, err := c.client.ConfigMaps(namespace).Create(ctx, made, metav1.CreateOptions{})
		return ignored(err)
	}
	if maps.Equal(current.Data, data) && current.Annotations[descriptionKey] != "" {
		return nil
	}
	changed := current.DeepCopy()
	changed.Data = data
	if changed.Annotations == nil {
		changed.Annotations = map[string]string{}
	}
	changed.Annotations[descriptionKey] = description
	_, err = c.client.ConfigMaps(namespace).Update(ctx, changed, metav1.UpdateOptions{})
	return ignored(err)
}

// ignored returns nil for the errors that another event follows: another replica was
// faster, or the namespace is being deleted.
func ignored(err error) error {
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) ||
		apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}
