// Package etcd gives the server its store: an etcd member that runs inside the
// process and is reached without a network, or a client of an external one.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/feature"
)

const (
	// A Service with thousands of ports is one transaction; etcd's default of
	// 128 operations and 1.5 MiB is meant for a store that others use too.
	embeddedMaxTxnOps       = 1 << 17
	embeddedMaxRequestBytes = 16 << 20
	embeddedQuotaBytes      = 8 << 30
)

// Store is a connection to etcd.
type Store struct {
	Client *clientv3.Client
	stop   func() error
}

// Close ends the connection and, where etcd is embedded, stops it.
func (s *Store) Close() error { return s.stop() }

// StartEmbedded starts an etcd member on a data directory, with fsync on and
// no port, and returns when it can be written to. The directory can be used by
// one process at a time.
func StartEmbedded(ctx context.Context, dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	member, err := embed.StartEtcd(embeddedConfig(dir))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting etcd in %s: %w", dir, err), unlock())
	}
	select {
	case <-member.Server.ReadyNotify():
	case err := <-member.Err():
		member.Close()
		return nil, errors.Join(fmt.Errorf("starting etcd in %s: %w", dir, err), unlock())
	case <-ctx.Done():
		member.Close()
		return nil, errors.Join(ctx.Err(), unlock())
	}
	client := v3client.New(member.Server)
	client.KV = etcd3.NewETCDLatencyTracker(client.KV)
	markWatchProgress(client)
	return &Store{Client: client, stop: func() error {
		err := client.Close()
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		member.Close()
		return errors.Join(err, unlock())
	}}, nil
}

func embeddedConfig(dir string) *embed.Config {
	config := embed.NewConfig()
	config.Name = "portolan"
	config.Dir = filepath.Join(dir, "etcd")
	// A single member elects itself; nobody has to be waited for.
	config.TickMs, config.ElectionMs = 10, 100
	config.MaxTxnOps = embeddedMaxTxnOps
	config.MaxRequestBytes = embeddedMaxRequestBytes
	config.QuotaBackendBytes = embeddedQuotaBytes
	config.ListenClientUrls, config.ListenPeerUrls = nil, nil
	config.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "localhost:0"}}
	config.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "localhost:0"}}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	return config
}

// markWatchProgress does by hand what the storage library does per endpoint:
// the client of an embedded server has no endpoints, and without it lists are
// not served from the watch cache.
func markWatchProgress(client *clientv3.Client) {
	feature.DefaultFeatureSupportChecker.CheckClient(context.Background(), embeddedEndpoint{client}, storage.RequestWatchProgress)
}

// embeddedEndpoint gives the embedded server a name to be asked its version
// under.
type embeddedEndpoint struct {
	*clientv3.Client
}

func (embeddedEndpoint) Endpoints() []string { return []string{"embedded"} }

// lock makes sure that one process uses a directory. It ends with the process,
// however that ends.
func lock(path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by another process: stop that one first", filepath.Dir(path))
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return file.Close, nil
}
