// Package failover breaks what Portolan stands on, while clients write to it,
// and proves that what they were told is so.
//
// A cluster is three replicas of Portolan on three members of etcd, each a
// process of its own. What one says to another goes through proxies of the
// test, so that a member or a replica can be cut off, from the others or from
// everything. A fault is one function that breaks something and returns what
// heals it. Under each fault the same clients create, change, read and delete
// Services, with addresses and ports that they name and with ones that are
// picked for them.
//
// Every request goes into a history with the times of its call and its answer.
// In the end the history must be linearizable (porcupine looks for an order of
// the requests, each at one moment between its call and its answer, that
// explains every answer), by two models: one of each name, whose Service is
// there or not, in one version; one of each address and port, which is free or
// held by one Service. A write that was not answered, or with an error that
// doesn't say that nothing was done, may have happened or not. Where somebody
// saw what it wrote, it did.
//
// A watch runs through each replica, and goes on where it was or lists again
// as it is told. What it tells must be what was written, all of it in order, and
// no value is held by two at any moment of it. In the end it has what the store
// has, portolan verify finds nothing, and on every replica each address and each
// port that nobody holds can be had.
//
// Clients make a request again after an answer of 500 and above and after none.
// After that none may be left with an error, and what they get before must be
// what kube-apiserver answers under the same fault, or like it (see alike). Its
// answers are in testdata: they were recorded, in several runs, by three replicas
// of kube-apiserver 1.36 on three members of etcd, with
//
//	PORTOLAN_FAILOVER_SERVER=kube-apiserver PORTOLAN_FAILOVER_HOLD=25s PORTOLAN_FAILOVER_PACE=12ms
//
// and with faults of half a second and of four. Those of 25 s are what it takes
// to see what it makes of a member that hangs: for less than that, and up to 40
// s, its clients wait. Portolan's get a 504 after some 3 s, and another member on
// their second try.
//
// What is simulated: a process is killed with SIGKILL, or stopped with SIGSTOP. A
// network is cut by proxies that hold back what is said, or refuse connections.
// A disk that is slow to sync is a member that is stopped for 300 ms again and
// again. Without fsync is one that runs with --unsafe-no-fsync and is killed. It
// loses nothing by that, as the kernel has what it wrote: the loss of power is
// not simulated. To give a member an older copy of its data would break a promise
// of Raft, and is beyond what any client of etcd can stand. A member that loses
// all of its data is in it: it is replaced, as etcd's guide of disaster recovery
// has it.
//
// A soak is rounds of load, with a fault in most. After each of them the store
// and the watch caches are emptied. In the end no replica may take more of heap,
// goroutines and open files than one did when all were warm, but for some slack:
// a leak of 1 KiB a write shows after some ten minutes, one of a goroutine every
// five requests after two.
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
