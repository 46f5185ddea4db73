// Package servingsecret maintains the serving certificate that the replicas in a
// cluster share, if cert-manager doesn't: it creates and renews the certificate and
// makes the aggregation layer trust it.
//
// Everything is in one Secret: the serving certificate and its key (tls.crt,
// tls.key), the trusted authorities (ca.crt), and the keys of the authorities that
// may sign (ca.key). The authorities are also in the APIService's spec.caBundle,
// with which kube-apiserver verifies the certificate.
//
// Each replica has a Keeper, which watches the Secret and the APIService. When one
// of them changes, and at intervals, the Keeper
//
//  1. reads the APIService, then the Secret,
//  2. renews what is due (material.renewed, which is pure) and writes the Secret,
//  3. writes the authorities to the APIService if it has others,
//  4. serves the Secret's certificate from the next handshake on.
//
// There is no leader. Writes carry the resource version that was read: if several
// replicas renew at once, one write succeeds and the other replicas read its result.
// The order of the reads matters. A replica whose bundle is older than the
// APIService's has read the APIService before the newer bundle was written, so its
// write is rejected.
//
// kube-apiserver can verify every certificate that is served. A new authority signs
// only once the Keeper has seen it in the APIService, and after a delay in which
// other clients of the Secret read the new bundle. The old authority stays in both
// until it has expired, and signs nothing that outlives it. If something else writes
// the APIService (see registration.skipReason), only the delay counts. No guarantee
// holds if the Secret is deleted while no replica runs: its authority is lost, and
// the next replica publishes a new one.
//
// If the Secret is deleted while replicas run, they create it again from memory. A
// replica doesn't start with a Secret whose contents are invalid. A running replica
// logs an error for one and serves the last valid certificate. Handshakes never wait
// for any of this.
package servingsecret
