// Package allocation holds one replica's index of what is claimed: the ranges, the
// claims with their holders, and the values picked for requests that are not finished.
//
// The index is a hint and never the authority. It learns from the watch on claims and
// ranges, from this replica's own commits, and from the state that a rejected
// transaction returns. Each fact carries the etcd revision at which it was true, and an
// older fact never replaces a newer one. An index that lags can make a transaction
// fail, which brings the index up to date. It can't make one succeed wrongly, because
// every transaction compares what it relies on.
//
// The package imports no client and no server and does no I/O. It holds no lock while
// another package's code runs.
package allocation
