// Package chaos is the family of tests that break something.
//
//	failover  faults of replicas and of the members of etcd, under load
//	kill      kills, failing disks and cut connections, under load
//	store     full stores, and snapshots of a store that is in use
//	upgrade   stores of other releases: migration, backup, downgrade
//
// Tests are tagged e2e where they need a real etcd, its tools or much time.
package chaos
