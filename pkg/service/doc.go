// Package service has the rules between the fields of a Service: the fields that an update
// inherits from the stored object, the IP families of a Service, the addresses and ports
// that it still needs, and those that it claims.
//
// Every rule is pure: it depends on the Service, the stored Service and the IP families of
// the cluster only. Admission, the registry's strategy and the claims layer can each apply
// a rule and get the same result; a rule that has been applied changes nothing when it is
// applied again. The package neither picks addresses and ports nor knows which are free.
//
// The rules are upstream's (KEP-563 dual-stack, KEP-1864 optional node ports) unless a
// comment says that upstream differs.
package service
