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
// What no model says is looked for in the end: portolan verify finds nothing,
// a watch that ran through all of it agrees with the store, and on every
// replica each address and each port that nobody holds can be had.
//
// Not simulated is the loss of power: a member that runs without fsync and is
// killed loses nothing, as the kernel has what it wrote. To give a member an
// older copy of its data would break a promise of Raft, and is beyond what any
// client of etcd can stand. A member that loses all of its data is in it: it
// is replaced, as etcd's guide of disaster recovery has it.
//
// The environment can change a run:
//
//	PORTOLAN_FAILOVER_RUN     a regular expression: only faults with such names
//	PORTOLAN_FAILOVER_HOLD    how long a fault lasts, 4s by default
//	PORTOLAN_FAILOVER_ETCD    the etcd to run, .bin/etcd by default
//	PORTOLAN_FAILOVER_SERVER  kube-apiserver: show what that answers under the same faults
package failover
