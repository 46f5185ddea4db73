// Package framework starts real servers for tests, on free ports and in directories that
// are removed with the test. Everything that it starts ends with the test.
//
// A server in the process of the test, through the code path that main takes; these wait
// until it is ready:
//
//	Start     a server that writes nothing by itself but its namespaces and ranges
//	StartAll  a server with its controllers and its Service kubernetes
//	Replicas  several servers on one etcd
//
// A server in a process of its own, which can be killed and measured; Process.WaitReady
// waits for it:
//
//	Spawn       a server on a data directory
//	Serve       the command "portolan serve", on a port that stays the same
//	Disk.Serve  the same on a disk that can be slow or fail
//
// The command portolan:
//
//	Command   runs it and returns what it prints
//	Portolan  returns it, to be started by the caller
//
// Other programs, which make builds into .bin:
//
//	StartEtcd         etcd, in the process of the test
//	StartKube         kube-apiserver, and StartControllers kube-controller-manager
//	NewKubectl        kubectl
//	Launch            any program, until the test ends
//
// Eventually, Await and Poll wait for a state.
package framework
