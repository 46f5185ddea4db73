// Package etcd gives the server its store: an etcd member that runs inside the
// process and is reached without a network, or a client of an external one.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
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
	// The log is kept on the disk for as many writes, and their values in memory.
	// etcd's 10,000 and 5,000 are for members that have to catch up. Of objects of
	// 1 MB they take gigabytes.
	embeddedSnapshotCount  = 2000
	embeddedCatchUpEntries = 100

	// electionTimeout is ample for a member that elects itself in a tenth of a
	// second, once it has read its log.
	electionTimeout = time.Minute
)

// errNotElected says that a member did not become its own leader.
var errNotElected = fmt.Errorf("no leader after %v", electionTimeout)

// Store is a connection to etcd.
type Store struct {
	Client *clientv3.Client
	// member is nil where etcd is external.
	member *etcdserver.EtcdServer
	stop   func() error
}

// Embedded says whether etcd runs in this process.
func (s *Store) Embedded() bool { return s.member != nil }

// Close ends the connection and, where etcd is embedded, stops it.
func (s *Store) Close() error { return s.stop() }

// StartEmbedded starts an etcd member on a data directory, with fsync on and
// no port, and returns when it can be written to. The directory can be used by
// one process at a time.
func StartEmbedded(ctx context.Context, dir string) (*Store, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	member, err := open(ctx, filepath.Join(dir, "etcd"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting etcd in %s: %w", dir, err), unlock())
	}
	client := v3client.New(member.Server)
	client.KV = etcd3.NewETCDLatencyTracker(client.KV)
	markWatchProgress(client)
	store := &Store{Client: client, member: member.Server, stop: func() error {
		err := client.Close()
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		member.Close()
		return errors.Join(err, unlock())
	}}
	if err := disarm(ctx, client); err != nil {
		return nil, errors.Join(fmt.Errorf("etcd in %s: %w", dir, err), store.Close())
	}
	return store, nil
}

// open starts a member on its directory, which it makes the first time. A
// member that is killed before its first start is over never elects a leader
// again, so the first one is made beside the place and moved there whole.
func open(ctx context.Context, dir string) (*embedded, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		unfinished := dir + ".unfinished"
		if err := os.RemoveAll(unfinished); err != nil {
			return nil, err
		}
		first, err := startMember(ctx, unfinished)
		if err != nil {
			return nil, err
		}
		first.Close()
		if err := os.Rename(unfinished, dir); err != nil {
			return nil, err
		}
	}
	if err := inspect(dir); err != nil {
		return nil, startError(err, dir)
	}
	member, err := startMember(ctx, dir)
	if err != nil {
		return nil, startError(err, dir)
	}
	return member, nil
}

// makeDir makes a data directory unless it is there.
func makeDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%s is a file, not a directory", dir)
	}
	return os.MkdirAll(dir, 0o700)
}

// embedded is an etcd member that runs in this process.
type embedded struct {
	*embed.Etcd
	guard *guard
}

// Close stops the member.
func (m *embedded) Close() {
	m.guard.quiet.Store(true)
	m.Etcd.Close()
}

func startMember(ctx context.Context, dir string) (*embedded, error) {
	guard := newGuard(dir)
	member := &embedded{guard: guard}
	err := guard.run(func() (err error) {
		member.Etcd, err = embed.StartEtcd(embeddedConfig(dir, guard.logger()))
		return err
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, electionTimeout, errNotElected)
	defer cancel()
	select {
	case <-member.Server.ReadyNotify():
		guard.started.Store(true)
		guard.quiet.Store(false)
		return member, nil
	case err = <-guard.failed:
		// What is left of it may wait for what has failed.
		return nil, err
	case err = <-member.Err():
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	member.Close()
	return nil, err
}

func embeddedConfig(dir string, logger *zap.Logger) *embed.Config {
	config := embed.NewConfig()
	config.Name = "portolan"
	config.Dir = dir
	// A single member elects itself; nobody has to be waited for.
	config.TickMs, config.ElectionMs = 10, 100
	config.MaxTxnOps = embeddedMaxTxnOps
	config.MaxRequestBytes = embeddedMaxRequestBytes
	config.QuotaBackendBytes = noQuota
	config.SnapshotCount, config.SnapshotCatchUpEntries = embeddedSnapshotCount, embeddedCatchUpEntries
	config.ListenClientUrls, config.ListenPeerUrls = nil, nil
	config.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "localhost:0"}}
	config.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "localhost:0"}}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)
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
	return func() error {
		// A program that is started meanwhile has the file until it runs: closing
		// it alone would not end the lock before.
		return errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
	}, nil
}
