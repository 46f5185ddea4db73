// Package preflight checks the configuration of a gateway against the cluster, as soon as
// the cluster answers, and says what to change.
//
// A gateway ends if
//
//   - the address of the cluster's API server leads back to the gateway, or
//   - kube-apiserver does not accept the front proxy's certificate.
//
// It continues, and logs a warning, if
//
//   - its user in the cluster lacks rights: they may be granted later,
//   - a range of cluster IPs is the cluster's as well: whether that is a mistake depends on
//     who creates Services in the cluster.
//
// Checks that could not be made or that found something are repeated.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/gateway"
)

const (
	// firstRetry is how soon a check is repeated that could not be made. The delay doubles
	// up to period, which is also how often everything is checked again.
	firstRetry = time.Second
	period     = time.Minute
)

// Front verifies the certificate of a front proxy. A gateway.Forwarder is one.
type Front interface {
	// HasFront reports whether there is a certificate.
	HasFront() bool
	// VerifyFront returns a gateway.RejectedError if kube-apiserver does not accept it.
	VerifyFront(ctx context.Context) error
}

// Config is what is checked.
type Config struct {
	// Cluster is how the server reaches the cluster.
	Cluster *rest.Config
	Client  kubernetes.Interface
	// Own is a client of the server itself.
	Own   kubernetes.Interface
	Front Front
	// CertFile is the front proxy's certificate.
	CertFile string
	// Rights are those that the server needs, of its users in the cluster.
	Rights []UserRights
}

// check is one check. It returns a fatalError, a finding, or the error that kept it from
// being made.
type check struct {
	name string
	make func(context.Context) error
	// said is what was logged last.
	said string
}

// fatalError ends the server.
type fatalError struct{ error }

// Unwrap returns what is inside.
func (e fatalError) Unwrap() error { return e.error }

// finding is a problem that the server can live with.
type finding string

// Error implements error.
func (f finding) Error() string { return string(f) }

// Run checks until the context ends. It returns an error if the server must not go on. A
// certificate that was accepted once does not end the server later.
func Run(ctx context.Context, c Config) error {
	checks := []*check{
		{name: "the address of the cluster", make: c.checkLoop}, {name: "the front proxy's certificate", make: c.frontCheck()},
		{name: "rights in the cluster", make: c.checkRights}, {name: "ranges", make: c.checkRanges},
	}
	retry := firstRetry
	for ctx.Err() == nil {
		failed := false
		for _, check := range checks {
			err := check.make(ctx)
			if fatal, is := errors.AsType[fatalError](err); is {
				return fatal.error
			}
			_, found := errors.AsType[finding](err)
			failed = failed || err != nil && !found
			if ctx.Err() == nil {
				check.report(ctx, err)
			}
			if err != nil && !found {
				// The others would fail likewise.
				break
			}
		}
		wait := period
		if failed {
			wait, retry = retry, min(2*retry, period)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// report logs what a check found, once.
func (c *check) report(ctx context.Context, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == c.said {
		return
	}
	c.said = text
	logger := klog.FromContext(ctx)
	switch _, found := errors.AsType[finding](err); {
	case err == nil:
		logger.Info("The gateway's configuration is in order now", "what", c.name)
	case found:
		logger.Error(nil, "The gateway's configuration needs a change", "what", c.name, "problem", text)
	default:
		logger.Info("The gateway's configuration cannot be checked yet", "what", c.name, "reason", text)
	}
}

func (c Config) checkLoop(ctx context.Context) error {
	err := gateway.CheckLoop(ctx, c.Cluster)
	if errors.Is(err, gateway.ErrLoop) {
		return fatalError{fmt.Errorf("--kubeconfig: %w (%s): name kube-apiserver's own address there", err, c.Cluster.Host)}
	}
	return err
}

// frontCheck returns the check of the front proxy's certificate.
func (c Config) frontCheck() func(context.Context) error {
	accepted := false
	return func(ctx context.Context) error {
		if !c.Front.HasFront() {
			return nil
		}
		err := c.Front.VerifyFront(ctx)
		rejected, is := errors.AsType[*gateway.RejectedError](err)
		switch {
		case err == nil:
			accepted = true
			return nil
		case !is:
			return err
		}
		err = fmt.Errorf("--proxy-client-cert-file: %w: %s", rejected, c.explain(ctx))
		if accepted {
			return finding(err.Error())
		}
		return fatalError{err}
	}
}
