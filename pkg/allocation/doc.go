// Package allocation holds one replica's picture of what is claimed: the
// ranges, the claims with their holders, and the values picked for requests
// that are still on their way.
//
// The picture is a hint and never the authority. It is fed by the watch on
// claims and ranges, by this replica's own commits and by the facts that come
// back with a refused transaction; each carries the etcd revision it was true
// at, and an older one never replaces a newer. A picture that lags can make a
// transaction fail, which brings it up to date; it can't make one succeed
// wrongly, because every transaction compares what it relied on.
//
// The package imports no client and no server and does no I/O; no lock is held
// while another package's code runs.
package allocation
