// Package space picks free numbers: cluster IPs out of the CIDRs of
// ServiceCIDRs, node ports out of the ports of NodePortRanges.
//
// A [Span] says which numbers may be given out, a [Space] which of all numbers
// are taken, and [Space.Pick] brings the two together. They are kept apart so
// that a range may appear, change or go, and ranges may overlap, without the
// record of what is taken being touched.
//
// As upstream does, a pick leaves the lowest numbers of a span, its static
// band, to those who ask for a number by value, and gives one of them only
// when there is nothing else (KEP-3070 for addresses, KEP-3668 for node ports).
//
// # Cost
//
// A Space holds maximal runs of taken numbers in a B-tree, so memory follows
// what is taken and not the size of a span: 32 bytes a run and the tree's
// slack, whether the span is a /28 or a /32 of IPv6. With r runs, Take, Release
// and Taken are O(log r) and Pick is O(log r) for each span, at any fill: full
// numbers next to each other are one run, which a search steps over at once.
//
// # What is left out
//
// Locking: the caller serializes Take and Release against everything else;
// the other methods only read and may run beside each other, each Pick with a
// source of randomness of its own. Holders: who has a number, and whether it
// may be let go, is in the claims. Revisions, and whether a pick still stands
// when it is written, are for the transaction that writes it. There is no
// clock, no I/O and no client here.
package space
