// Package service holds the rules that tie the fields of a Service together:
// what an update inherits from the stored object, which IP families a Service
// has, which addresses and ports are still open, and what it claims.
//
// Every rule is pure: it looks at the Service, the one stored before and the IP
// families of the cluster, and at nothing else. So admission, the registry
// strategy and the claims layer can each apply it and come to the same answer;
// each rule leaves alone what it has already settled. Picking an address or a
// port is not done here, nor is saying whether one is free.
//
// The rules are upstream's (KEP-563 dual-stack, KEP-1864 optional node ports)
// except where a comment says that upstream has it differently.
package service
