// Package garbage tests what owner references do on a standalone server: its garbage
// collector, with real kinds, restarts and replicas.
package garbage
