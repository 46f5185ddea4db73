package servingsecret

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

const (
	// startTimeout is how long New waits while the API server is down or RBAC is
	// being installed.
	startTimeout = time.Minute
	startRetry   = time.Second
	// syncTimeout is how long a sync waits for the cluster.
	syncTimeout = 30 * time.Second
	// attempts is how often a sync is tried if its writes conflict with others.
	attempts = 5
)

// Config configures a Keeper.
type Config struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	// Namespace and Name identify the Secret.
	Namespace, Name string
	// Service is the name of the Service that the certificate is for. It is in the
	// Secret's namespace.
	Service string
	Policy  certificates.Policy
	Clock   clock.WithTicker
}

// NewConfig returns the configuration for a cluster.
func NewConfig(cluster *rest.Config, namespace, name, service string) (Config, error) {
	client, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return Config{}, err
	}
	dynamicClient, err := dynamic.NewForConfig(cluster)
	return Config{
		Client: client, Dynamic: dynamicClient,
		Namespace: namespace, Name: name, Service: service,
		Policy: DefaultPolicy, Clock: clock.RealClock{},
	}, err
}

// Keeper keeps the certificate of one replica up to date. The server runs it and gets
// its certificate from it.
type Keeper struct {
	config Config
	// changed has an element after the Secret or the APIService has changed.
	changed chan struct{}
	// current is the certificate that is served.
	current atomic.Pointer[served]

	mu sync.Mutex
	// held is the last valid material, in case the Secret is deleted.
	held material
	// loggedReason is the last skipReason that was logged.
	loggedReason string
	listeners    []dynamiccertificates.Listener
}

type served struct {
	cert, key []byte
	authority *x509.Certificate
}

var (
	_ dynamiccertificates.CertKeyContentProvider = &Keeper{}
	_ dynamiccertificates.ControllerRunner       = &Keeper{}
)

// New returns a Keeper that has a certificate. If the cluster doesn't answer, it
// retries for a minute. If the Secret's contents are invalid, it fails at once.
func New(ctx context.Context, config Config) (*Keeper, error) {
	k := &Keeper{config: config, changed: make(chan struct{}, 1)}
	var last error
	err := wait.PollUntilContextTimeout(ctx, startRetry, startTimeout, true, func(ctx context.Context) (bool, error) {
		if last = k.RunOnce(ctx); errors.Is(last, errInvalidSecret) {
			return false, last
		}
		if k.current.Load() != nil {
			return true, nil
		}
		klog.FromContext(ctx).Error(last, "There is no serving certificate yet", "secret", k.secretRef())
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("serving certificate: %w", errors.Join(last, ctx.Err()))
	}
	return k, nil
}

// Name implements dynamiccertificates.CertKeyContentProvider.
func (k *Keeper) Name() string { return "secret::" + k.config.Namespace + "/" + k.config.Name }

// CurrentCertKeyContent implements dynamiccertificates.CertKeyContentProvider.
func (k *Keeper) CurrentCertKeyContent() ([]byte, []byte) {
	current := k.current.Load()
	return current.cert, current.key
}

// Authority returns the authority that signed the certificate being served.
func (k *Keeper) Authority() *x509.Certificate { return k.current.Load().authority }

// AddListener implements dynamiccertificates.Notifier.
func (k *Keeper) AddListener(listener dynamiccertificates.Listener) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.listeners = append(k.listeners, listener)
}

// RunOnce implements dynamiccertificates.ControllerRunner. It updates the Secret, the
// APIService and the certificate that is served. If it fails, the previous
// certificate is still served.
func (k *Keeper) RunOnce(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	var err error
	for range attempts {
		if err = k.sync(ctx); !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return err
}

// sync does the four steps in the package comment. It must read the APIService first.
func (k *Keeper) sync(ctx context.Context) error {
	config := k.config
	apiService := readRegistration(ctx, config.Dynamic, config.Namespace, config.Service)
	k.logSkipReason(ctx, apiService.skipReason)
	secret, err := config.Client.CoreV1().Secrets(config.Namespace).Get(ctx, config.Name, metav1.GetOptions{})
	var stored material
	switch {
	case apierrors.IsNotFound(err):
		secret = nil
	case err != nil:
		return fmt.Errorf("secret %s: %w", k.secretRef(), err)
	default:
		if stored, err = parse(secret); err != nil {
			return fmt.Errorf("secret %s: %w", k.secretRef(), err)
		}
	}
	missing := stored.authorities == nil
	if missing {
		stored = k.held
	}

	next, changes, err := stored.renewed(config.Policy, template(config.Namespace, config.Service), config.Clock.Now(), apiService.trusts)
	if err != nil {
		return err
	}
	data, err := next.data()
	if err != nil {
		return err
	}
	if missing || len(changes) > 0 {
		if err := k.write(ctx, secret, data); err != nil {
			return err
		}
		klog.FromContext(ctx).Info("Wrote the serving certificate's Secret", "secret", k.secretRef(), "changes", changes)
	}
	published, err := apiService.publish(ctx, config.Dynamic, data[authoritiesKey])
	if apierrors.IsConflict(err) {
		return err
	}
	if published {
		klog.FromContext(ctx).Info("Wrote the APIService's caBundle", "apiService", apiServiceName)
	}
	k.serve(next, data)
	if err != nil {
		return fmt.Errorf("APIService %s: %w", apiServiceName, err)
	}
	return nil
}

// write creates the Secret if read is nil. Otherwise it updates read, which fails if
// the Secret has changed since.
func (k *Keeper) write(ctx context.Context, read *corev1.Secret, data map[string][]byte) error {
	secrets := k.config.Client.CoreV1().Secrets(k.config.Namespace)
	if read == nil {
		_, err := secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: k.config.Namespace, Name: k.config.Name, Labels: map[string]string{"app.kubernetes.io/name": "portolan"},
			},
			Type: corev1.SecretTypeTLS,
			Data: data,
		}, metav1.CreateOptions{})
		return err
	}
	changed := read.DeepCopy()
	changed.Data = data
	_, err := secrets.Update(ctx, changed, metav1.UpdateOptions{})
	return err
}

// serve makes the server use the material's certificate from the next handshake on.
func (k *Keeper) serve(m material, data map[string][]byte) {
	k.held = m
	next := &served{data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey], m.authorities.Issuer(m.serving.Cert)}
	if previous := k.current.Swap(next); previous != nil && string(previous.cert) == string(next.cert) {
		return
	}
	for _, listener := range k.listeners {
		listener.Enqueue()
	}
}

// logSkipReason logs, once, why the APIService isn't written.
func (k *Keeper) logSkipReason(ctx context.Context, reason string) {
	if reason == k.loggedReason {
		return
	}
	k.loggedReason = reason
	level := 0
	if reason == noAPIService {
		level = 2
	}
	if reason != "" {
		klog.FromContext(ctx).V(level).Info("Not writing the APIService's caBundle", "apiService", apiServiceName, "reason", reason)
	}
}

func (k *Keeper) secretRef() klog.ObjectRef { return klog.KRef(k.config.Namespace, k.config.Name) }
