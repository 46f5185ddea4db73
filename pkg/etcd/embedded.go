// Package etcd connects the server to its store: an etcd member that runs inside
// the process and needs no network, or an external etcd.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
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
	// A Service with thousands of ports is written in one transaction. etcd's
	// defaults, 128 operations and 1.5 MiB, are meant for a store that others share.
	embeddedMaxTxnOps       = 1 << 17
	embeddedMaxRequestBytes = 16 << 20
	// etcd keeps this many log entries on disk, and their values in memory. Its
	// defaults, 10,000 and 5,000, let slow members catch up; with objects of 1 MB
	// they take gigabytes.
	embeddedSnapshotCount  = 2000
	embeddedCatchUpEntries = 100

	// electionTimeout is ample: once a member has read its log, it elects itself in
	// a tenth of a second.
	electionTimeout = time.Minute
)

// errNotElected means that a member did not become its own leader in time.
var errNotElected = fmt.Errorf("no leader after %v", electionTimeout)

// Store is a connection to etcd.
type Store struct {
	Client *clientv3.Client
	// member is nil if etcd is external.
	member *etcdserver.EtcdServer
	stop   func() error

	defragmenting atomic.Bool
}

// Embedded reports whether etcd runs in this process.
func (s *Store) Embedded() bool { return s.member != nil }

// Defragmenting reports whether this process defragments its embedded etcd, which answers
// no request meanwhile.
func (s *Store) Defragmenting() bool { return s.defragmenting.Load() }

// Close closes the connection. It stops an embedded etcd.
func (s *Store) Close() error { return s.stop() }

// StartEmbedded starts an etcd member in a data directory and returns when it
// accepts writes. The member fsyncs and listens on no port. It fails if another
// process uses the directory.
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
	client.KV = etcd3.NewETCDLatencyTracker(newPages(client.KV, member.Server))
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

// open starts the member in dir, which it creates the first time. A member that is
// killed during its first start never elects a leader again, so open creates a new
// one beside dir and renames it when it is complete.
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

// makeDir creates a data directory if there is none.
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
	fatal *fatalHandler
}

// Close stops the member.
func (m *embedded) Close() {
	m.fatal.quiet.Store(true)
	m.Etcd.Close()
}

func startMember(ctx context.Context, dir string) (*embedded, error) {
	fatal := newFatalHandler(dir)
	member := &embedded{fatal: fatal}
	err := fatal.run(func() (err error) {
		member.Etcd, err = embed.StartEtcd(embeddedConfig(dir, fatal.logger()))
		return err
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, electionTimeout, errNotElected)
	defer cancel()
	select {
	case <-member.Server.ReadyNotify():
		fatal.started.Store(true)
		fatal.quiet.Store(false)
		return member, nil
	case err = <-fatal.failed:
		// The member isn't closed: its other goroutines may wait forever for the one
		// that failed.
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
	// A single member elects itself: there is no vote to wait for.
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

// markWatchProgress records that the embedded etcd supports progress requests.
// The storage library checks each endpoint of a client, but the client of an
// embedded etcd has none. Without the record, lists are not served from the watch
// cache.
func markWatchProgress(client *clientv3.Client) {
	feature.DefaultFeatureSupportChecker.CheckClient(context.Background(), embeddedEndpoint{client}, storage.RequestWatchProgress)
}

// embeddedEndpoint is a client with one endpoint, so that its version is checked.
type embeddedEndpoint struct {
	*clientv3.Client
}

func (embeddedEndpoint) Endpoints() []string { return []string{"embedded"} }

// lock locks a file, so that only one process uses its directory. The kernel
// releases the lock when the process ends, however it ends.
func lock(path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by another process: stop that one first", filepath.Dir(path))
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() error {
		// A child process that is being started holds the file open until its exec.
		// Until then, closing the file here would not release the lock.
		return errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
	}, nil
}
