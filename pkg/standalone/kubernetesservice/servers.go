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

// silence is for how long a server may be silent, in seconds.
const silence = 6

// keys is what the servers' keys begin with. A key goes on with the server's
// address and port. Earlier releases have and know keys that are an address; their
// servers all listen on one port.
func (c Config) keys() string { return path.Join("/", c.Prefix, v1.GroupName, "servers") + "/" }

// tell keeps the server's keys. The session keeps their lease; where that is lost,
// a new one is begun.
func (c Config) tell(ctx context.Context, session *concurrency.Session) (*concurrency.Session, error) {
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
	lease, err := c.Etcd.Grant(ctx, silence)
	if err != nil {
		return nil, fmt.Errorf("lease of the server's address: %w", err)
	}
	// A session's context ends its lease's renewal. It is to be given back after
	// the server's own has ended.
	session, err = concurrency.NewSession(c.Etcd, concurrency.WithTTL(silence), concurrency.WithLease(lease.ID),
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

// watch tells that servers come and go.
func (c Config) watch(ctx context.Context) clientv3.WatchChan {
	return c.Etcd.Watch(ctx, c.keys(), clientv3.WithPrefix(), clientv3.WithKeysOnly())
}

// servers are all that run.
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

// parse reads the ends of keys, sorted by port and address. A server of an earlier
// release has an address alone, and the given port.
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
		// Earlier releases sort addresses as text. Another order would have both
		// write in turn.
		return cmp.Or(cmp.Compare(a.Port(), b.Port()), cmp.Compare(a.Addr().String(), b.Addr().String()))
	})
	return servers
}

func ofFamily(servers []netip.AddrPort, ipv4 bool) []netip.AddrPort {
	return slices.DeleteFunc(slices.Clone(servers), func(server netip.AddrPort) bool { return server.Addr().Is4() != ipv4 })
}
