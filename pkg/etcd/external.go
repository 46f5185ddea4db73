package etcd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/component-base/tracing"
)

const (
	dialTimeout = 20 * time.Second
	// Keepalives detect within 20 s that a single member is gone; if there are
	// several, health detects it sooner. keepaliveTime is the shortest that gRPC's
	// client allows. kube-apiserver needs 40 s.
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 10 * time.Second
	// maxRequestBytes replaces the client's default limit of 2 MiB: etcd decides how
	// large a request may be.
	maxRequestBytes = math.MaxInt32
)

// Connect connects to an external etcd. It fails if no endpoint answers, or if the
// store speaks etcd's protocol but has no transactions over several keys.
func Connect(ctx context.Context, config storagebackend.TransportConfig) (*Store, error) {
	connections := newConnections()
	clientConfig := clientv3.Config{
		Context:              context.WithoutCancel(ctx),
		Endpoints:            config.ServerList,
		DialTimeout:          dialTimeout,
		DialKeepAliveTime:    keepaliveTime,
		DialKeepAliveTimeout: keepaliveTimeout,
		MaxCallSendMsgSize:   maxRequestBytes,
		Logger:               newClientLogger(),
		DialOptions:          dialOptions(config, connections),
	}
	if config.CertFile != "" || config.KeyFile != "" || config.TrustedCAFile != "" {
		info := transport.TLSInfo{CertFile: config.CertFile, KeyFile: config.KeyFile, TrustedCAFile: config.TrustedCAFile}
		tlsConfig, err := info.ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("TLS for etcd: %w", err)
		}
		clientConfig.TLS = tlsConfig
	}
	if err := reach(ctx, config.ServerList, clientConfig.TLS, os.Stderr); err != nil {
		return nil, fmt.Errorf("--etcd-servers: %w", err)
	}
	client, err := clientv3.New(clientConfig)
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd: %w", err)
	}
	if err := checkTransactions(ctx, client); err != nil {
		client.Close()
		return nil, fmt.Errorf("etcd at %v: %w", config.ServerList, err)
	}
	client.KV = etcd3.NewETCDLatencyTracker(client.KV)
	// Without this check, lists are not served from the watch cache. The storage
	// library makes it too, but perhaps with a client that doesn't know its endpoints.
	feature.DefaultFeatureSupportChecker.CheckClient(client.Ctx(), client, storage.RequestWatchProgress)
	if len(config.ServerList) == 1 {
		return &Store{Client: client, stop: client.Close}, nil
	}
	health, err := newHealth(client, connections, clientConfig)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to etcd: %w", err), client.Close())
	}
	watchCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var watching sync.WaitGroup
	watching.Go(func() { health.run(watchCtx) })
	return &Store{Client: client, stop: func() error {
		cancel()
		watching.Wait()
		return errors.Join(health.close(), client.Close())
	}}, nil
}

func dialOptions(config storagebackend.TransportConfig, connections *connections) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithContextDialer(connections.dial),
		connectParams(dialTimeout),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(
			otelgrpc.WithPropagators(tracing.Propagators()),
			otelgrpc.WithTracerProvider(config.TracerProvider),
		)),
	}
}

// checkTransactions runs a transaction that compares two keys and reads two. Every
// write of a Service needs such transactions.
func checkTransactions(ctx context.Context, client *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := client.Get(ctx, "health"); err != nil {
		return fmt.Errorf("can't be reached: %w", err)
	}
	_, err := client.Txn(ctx).If(
		clientv3.Compare(clientv3.ModRevision("health"), ">", -1),
		clientv3.Compare(clientv3.ModRevision("health2"), ">", -1),
	).Then(clientv3.OpGet("health"), clientv3.OpGet("health2")).Commit()
	if err != nil {
		return fmt.Errorf("has no transactions over several keys, which Portolan needs (kine, for example, has none): %w", err)
	}
	return nil
}
