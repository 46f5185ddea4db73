// Package space picks free numbers: cluster IPs from the CIDRs of ServiceCIDRs, node ports
// from the ports of NodePortRanges.
//
// A [Span] has the numbers that can be picked, a [Space] the numbers that are taken, and
// [Space.Pick] combines the two. They are separate so that a range can appear, change or
// disappear, and ranges can overlap, without a change of the taken numbers.
//
// As upstream does, a pick leaves the lowest numbers of a span, its static band, to clients
// that name a number. It takes one of them only if all others are taken (KEP-3070 for
// addresses, KEP-3668 for node ports).
//
// # Cost
//
// A Space holds maximal runs of taken numbers in a B-tree. Its memory depends on the taken
// numbers and not on the size of a span: 32 bytes per run, and the overhead of the tree,
// for a /28 as for a /32 of IPv6. With r runs, Take, Release and Taken are O(log r), and
// Pick is O(log r) for each span, at any fill: adjacent taken numbers are one run, which a
// search skips in one step.
//
// # What is left out
//
// The package does not lock. The caller serializes Take and Release against everything
// else. The other methods only read and can run concurrently, each Pick with its own source
// of randomness. It does not know holders, which are in the claims, or revisions: the
// transaction that writes a pick decides whether the pick is still free. There is no clock,
// no I/O and no client here.
package space
