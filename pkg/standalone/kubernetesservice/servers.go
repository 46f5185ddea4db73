package kubernetesservice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// leaseTTL is how long etcd keeps a server's keys after the server has stopped
// renewing their lease, in seconds.
const leaseTTL = 6

// keys returns the prefix of the servers' keys. A key ends with the server's address
// and port. Earlier releases write and read keys that end with the address alone;
// their servers all listen on one port.
func (c Config) keys() string { return path.Join("/", c.Prefix, v1.GroupName, "servers") + "/" }

// announce writes the server's keys, whose lease the returned session renews. If the
// given session is still valid, announce returns it and writes nothing.
func (c Config) announce(ctx context.Context, session *concurrency.Session) (*concurrency.Session, error) {
	if !c.Address.IsValid() {
		return nil, nil
	}
	if session != nil {
		select {
		case <-session.Done():
		default:
			return session, nil
		}
	}
	lease, err := c.Etcd.Grant(ctx, leaseTTL)
	if err != nil {
		return nil, fmt.Errorf("lease of the server's address: %w", err)
	}
	// The session outlives ctx, because its lease is revoked after ctx has ended.
	session, err = concurrency.NewSession(c.Etcd, concurrency.WithTTL(leaseTTL), concurrency.WithLease(lease.ID),
		concurrency.WithContext(context.WithoutCancel(ctx)))
	if err != nil || session == nil {
		return nil, fmt.Errorf("renewal of the lease of the server's address: %w", err)
	}
	held := clientv3.WithLease(session.Lease())
	own := netip.AddrPortFrom(c.Address, uint16(c.Port))
	_, err = c.Etcd.Txn(ctx).Then(
		clientv3.OpPut(c.keys()+own.String(), "", held),
		clientv3.OpPut(c.keys()+c.Address.String(), "", held),
	).Commit()
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	return session, nil
}

// watch returns a channel that receives when servers start and stop.
func (c Config) watch(ctx context.Context) clientv3.WatchChan {
	return c.Etcd.Watch(ctx, c.keys(), clientv3.WithPrefix(), clientv3.WithKeysOnly())
}

// servers returns all running servers.
func (c Config) servers(ctx context.Context) ([]netip.AddrPort, error) {
	answer, err := c.Etcd.Get(ctx, c.keys(), clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, fmt.Errorf("addresses of servers: %w", err)
	}
	var names []string
	for _, kv := range answer.Kvs {
		names = append(names, path.Base(string(kv.Key)))
	}
	return parse(names, uint16(c.Port)), nil
}

// parse parses the ends of keys and returns the servers sorted by port and address. A
// key of an earlier release has only an address; its server has the given port.
func parse(names []string, port uint16) []netip.AddrPort {
	var servers []netip.AddrPort
	known := map[netip.Addr]bool{}
	for _, name := range names {
		if server, err := netip.ParseAddrPort(name); err == nil {
			servers = append(servers, server)
			known[server.Addr()] = true
		}
	}
	for _, name := range names {
		if address, err := netip.ParseAddr(name); err == nil && !known[address] {
			servers = append(servers, netip.AddrPortFrom(address, port))
		}
	}
	slices.SortFunc(servers, func(a, b netip.AddrPort) int {
		// Earlier releases sort addresses as text. With another order, both releases
		// would overwrite each other's endpoints in turn.
		return cmp.Or(cmp.Compare(a.Port(), b.Port()), cmp.Compare(a.Addr().String(), b.Addr().String()))
	})
	return servers
}

func ofFamily(servers []netip.AddrPort, ipv4 bool) []netip.AddrPort {
	return slices.DeleteFunc(slices.Clone(servers), func(server netip.AddrPort) bool { return server.Addr().Is4() != ipv4 })
}
