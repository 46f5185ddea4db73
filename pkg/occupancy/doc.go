// Package occupancy computes, from the objects that a client reads, how full each range is
// and which Services hold its values. The commands ranges and drain show it.
//
// It acts with the rights of the client: to list ranges and claims and, with Follow, to
// watch them. It needs no right to read Services, because a claim names its holder.
package occupancy
