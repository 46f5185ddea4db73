// Package failover injects faults below and into Portolan while clients write
// to it, and proves that all answers were true.
//
// A cluster is three replicas of Portolan on three members of etcd, each in a
// process of its own. Their connections go through proxies of the test, so that
// a member or a replica can be cut off, from the others or from everything. A
// fault is a function that breaks something and returns a function that repairs
// it. During each fault the same clients create, change, read and delete
// Services, with cluster IPs, node ports and load-balancer addresses that they
// name and with ones that are picked for them.
//
// Every request goes into a history with the times of its call and its answer.
// In the end the history must be linearizable: porcupine searches for an order
// of the requests, each at one moment between its call and its answer, that
// explains every answer. There are two models: one of each name, whose Service
// exists in one version or not at all, and one of each address and port, which
// is free or held by one Service. A write without an answer, or with an error
// that does not exclude that it was carried out, may have happened or not. If
// any client saw its result, it did.
//
// A watch runs through each replica, and continues or lists again as the
// protocol demands. Its events must be the writes, all of them in order, and no
// value may have two holders at any moment. In the end the watch has the state
// of the store, portolan verify finds nothing, and every replica can allocate
// each free address and port.
//
// Clients retry after a 5xx and after no answer. In the end no client may be
// left with an error, and the errors before must be those that kube-apiserver
// returns under the same fault, or ones like them (see alike). Its answers are
// in testdata. They were recorded, in several runs, by three replicas of
// kube-apiserver 1.36 on three members of etcd, with
//
//	PORTOLAN_FAILOVER_SERVER=kube-apiserver PORTOLAN_FAILOVER_HOLD=25s PORTOLAN_FAILOVER_PACE=12ms
//
// and with faults of half a second and of four. Faults of 25 s show what
// kube-apiserver makes of a hanging member: during shorter ones its clients
// wait, up to 40 s. Portolan's clients get a 504 after some 3 s, and another
// member on their second try.
//
// A process is killed with SIGKILL, or stopped with SIGSTOP. Proxies cut the
// network: they hold back data, or refuse connections. For a slow disk, a
// member stops for 300 ms again and again. One member runs with
// --unsafe-no-fsync and is killed. It loses nothing, because the kernel has its
// writes: power loss is not simulated. No member gets an older copy of its
// data: that would break a promise of Raft, which no client of etcd can handle.
// A member that loses all its data is replaced, as etcd's guide to disaster
// recovery says.
//
// A soak is rounds of load, most of them with a fault. After each round the
// store and the watch caches are emptied. In the end no replica may use more
// heap, goroutines and open files than the highest use of any replica after the
// warm-up, plus some slack: a leak of 1 KiB a write shows after some ten
// minutes, and one of a goroutine every five requests after two.
//
// The environment can change a run:
//
//	PORTOLAN_FAILOVER_RUN     a regular expression: only faults with such names
//	PORTOLAN_FAILOVER_HOLD    how long a fault lasts, 4s by default
//	PORTOLAN_FAILOVER_PACE    the time between two requests, as long as clients are free
//	PORTOLAN_FAILOVER_ETCD    the etcd to run, .bin/etcd by default
//	PORTOLAN_FAILOVER_SERVER  kube-apiserver: add what that answers to what was recorded
//	PORTOLAN_SOAK             how long the soak lasts, 2m by default
package failover
