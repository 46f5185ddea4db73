package framework

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/store/verify"
)

// Etcd is an etcd member with a port, for servers that share one.
type Etcd struct {
	URL    string
	Client *clientv3.Client

	stop func()
}

// StartEtcd runs an etcd member in this process until the test ends, or Stop.
// Changes may set its configuration.
func StartEtcd(t testing.TB, changes ...func(*embed.Config)) *Etcd {
	t.Helper()
	loopback := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	config := embed.NewConfig()
	config.Dir = t.TempDir()
	config.TickMs, config.ElectionMs = 10, 100
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{loopback}, []url.URL{loopback}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{loopback}, []url.URL{loopback}
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	for _, change := range changes {
		change(config)
	}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	member, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(member.Close)
	t.Cleanup(stop)
	<-member.Server.ReadyNotify()
	address := "http://" + member.Clients[0].Addr().String()
	client := ConnectEtcd(t, address)
	return &Etcd{URL: address, Client: client, stop: func() {
		client.Close()
		stop()
	}}
}

// Stop ends the member. Its data stays in its directory.
func (e *Etcd) Stop() { e.stop() }

// ConnectEtcd returns a client of an etcd, which is closed when the test ends.
func ConnectEtcd(t testing.TB, endpoints ...string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: startTimeout, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// On makes a server use the given etcd.
func On(e *Etcd) func(*options.Options) {
	return func(o *options.Options) { o.Etcd.StorageConfig.Transport.ServerList = []string{e.URL} }
}

// Verify proves that what a store holds is consistent.
func Verify(t testing.TB, client *clientv3.Client) {
	t.Helper()
	for _, violation := range Check(t, client).Violations {
		t.Errorf("verify: %s", violation)
	}
}

// Check is what verify finds in a store, warnings included.
func Check(t testing.TB, client *clientv3.Client) verify.Report {
	t.Helper()
	return verify.Check(Read(t, client))
}

// ExpectQuiet wants a report of verify to find nothing, not even a warning.
func ExpectQuiet(t testing.TB, report verify.Report) {
	t.Helper()
	for _, sentence := range slices.Concat(report.Violations, report.Warnings) {
		t.Errorf("verify: %s", sentence)
	}
}

// Read is what a store holds.
func Read(t testing.TB, client *clientv3.Client) verify.Contents {
	t.Helper()
	contents, err := verify.Read(context.Background(), client, "/registry")
	if err != nil {
		t.Fatal(err)
	}
	return contents
}
