// Package test holds the tests that start servers. Each family is a folder:
//
//	integration   Portolan alone, through its API and its command line
//	differential  Portolan beside a kube-apiserver: both must answer alike
//	ecosystem     programs that are used with it: kubectl, CoreDNS, kube-proxy, …
//	cluster       Portolan aggregated into a cluster, and the manifests for that
//	chaos         faults, kills, full disks, upgrades
//
// Beside them are framework, which all families share, bench, which measures,
// and imports, which holds the rules of which package may import what.
//
// The build tag e2e marks the tests that need a program which takes minutes to
// build, such as kube-apiserver. make test runs all tests without the tag. make
// e2e builds the programs and runs the tests with the tag; make e2e-chaos runs
// those of one family. Programs are in .bin/.
package test
