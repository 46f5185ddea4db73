package server

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/standalone/contents"
	"github.com/portolan-dev/portolan/pkg/standalone/trust"
)

const (
	// publishPeriod is how often the published authorities of clients are checked.
	publishPeriod = time.Minute
	// syncPoll is short because the server is not ready before.
	syncPoll = 10 * time.Millisecond
)

// applyAuthorities sets what namespaces publish as the authorities of the server's
// certificate: its own, and those in the file of another certificate. Like the controllers
// of endpoints, it is kube-controller-manager's work.
func (c *Config) applyAuthorities(o *options.Options, files datadir.Files) error {
	if c.Extra.Core == nil || !o.HasControllers() {
		return nil
	}
	own, err := os.ReadFile(files.CACert)
	if err != nil {
		return err
	}
	c.Extra.Core.Authorities = own
	if o.SecureServing.ServerCert.CertKey.CertFile == files.ServingCert {
		return nil
	}
	chain, err := certutil.CertsFromFile(o.SecureServing.ServerCert.CertKey.CertFile)
	if err != nil {
		return err
	}
	for _, cert := range chain {
		if cert.IsCA {
			c.Extra.Core.Authorities = append(c.Extra.Core.Authorities, certificates.EncodeCerts(cert)...)
		}
	}
	return nil
}

// installAuthorities publishes the authorities of clients before the server is ready, and
// keeps them published. A server whose store is full becomes ready nevertheless. It also
// keeps the contents of namespaces.
func (c *CoreConfig) installAuthorities(generic *genericapiserver.GenericAPIServer) error {
	namespaces := c.Informers.Core().V1().Namespaces()
	hasNamespaces := namespaces.Informer().HasSynced
	var tried atomic.Bool
	publish := func(ctx context.Context) error {
		return trust.Publish(ctx, c.Client, c.ClientCA.CurrentCABundleContent(), time.Now())
	}
	runInBackground(generic, "portolan-authorities", func(ctx context.Context) {
		// Admission rejects objects in namespaces that it does not know.
		err := wait.PollUntilContextCancel(ctx, syncPoll, true, func(context.Context) (bool, error) {
			_, err := namespaces.Lister().Get(metav1.NamespaceSystem)
			return err == nil && hasNamespaces(), nil
		})
		if err != nil {
			return
		}
		tryUntilDone(ctx, "authorities", func(ctx context.Context) error {
			defer tried.Store(true)
			return publish(ctx)
		})
		// It returns when the context ends.
		_ = wait.PollUntilContextCancel(ctx, publishPeriod, false, func(ctx context.Context) (bool, error) {
			finishing, cancel := reconcile.Finishing(ctx)
			defer cancel()
			if err := publish(finishing); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "Publishing the authorities of clients failed")
			}
			return false, nil
		})
	})
	if c.Authorities != nil {
		keeper, err := contents.New(c.Client, namespaces, c.Authorities)
		if err != nil {
			return err
		}
		runInBackground(generic, "portolan-namespace-contents", keeper.Run)
	}
	return generic.AddReadyzChecks(syncedCheck("authorities", tried.Load))
}
