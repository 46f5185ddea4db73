package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/server/healthz"

	"github.com/portolan-dev/portolan/pkg/etcd"
)

// etcdCheck fails if etcd does not answer in time. A server that defragments its embedded
// etcd is not ready, but alive: a probe that restarts it would only repeat the work.
func etcdCheck(store *etcd.Store, timeout time.Duration) healthz.HealthChecker {
	return healthz.NamedCheck("etcd", func(req *http.Request) error {
		alive := func() bool { return strings.HasPrefix(req.URL.Path, "/livez") && store.Defragmenting() }
		if alive() {
			return nil
		}
		ctx, cancel := context.WithTimeout(req.Context(), timeout)
		defer cancel()
		if err := answers(ctx, store); err != nil && !alive() {
			return err
		}
		return nil
	})
}

// answers reads from etcd. It returns when the context ends: a read from an embedded etcd
// that is being defragmented does not.
func answers(ctx context.Context, store *etcd.Store) error {
	read := make(chan error, 1)
	go func() {
		_, err := store.Client.Get(ctx, "health")
		read <- err
	}()
	select {
	case err := <-read:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
