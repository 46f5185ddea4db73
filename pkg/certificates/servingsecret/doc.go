// Package servingsecret keeps the serving certificate that replicas in a cluster
// share, where no cert-manager does: it makes it, renews it, and has the
// aggregation layer trust it.
//
// Everything is in one Secret: the serving certificate and its key (tls.crt,
// tls.key), the authorities that are trusted (ca.crt), and the keys of those
// that may sign (ca.key). The authorities are also in the APIService's
// spec.caBundle, against which kube-apiserver verifies the certificate.
//
// Each replica has a Keeper. It watches the Secret and the APIService; whenever
// one of them changes, and every now and then, it
//
//  1. reads the APIService, then the Secret,
//  2. makes what is due (material.renewed, which is pure) and writes the Secret,
//  3. writes the authorities to the APIService if it has others,
//  4. serves the Secret's certificate from the next handshake on.
//
// There is no leader. Writes carry the resource version of what was read, so of
// several replicas that find the same thing due one wins, and the others read
// what it wrote. The order of reading matters: whoever writes an older bundle
// than the APIService has read the APIService before it was given the newer one,
// and is refused.
//
// No certificate is presented that kube-apiserver can't verify: a new authority
// signs only once the APIService is seen to have it, and it has been there long
// enough for everybody else who has the bundle from the Secret. The old one
// stays in both until it has expired, and it signs nothing that outlives it.
// Where the APIService is somebody else's to keep (see registration.notOurs),
// time alone decides. All bets are off if the Secret is deleted while no replica
// runs: its authority is gone, and a new one is published when one starts.
//
// While replicas run, a Secret that was deleted is made again with what they
// hold in memory. One with something in it that can't be read is refused at the
// start; later on it is told in the log, and the last good one is served.
// Handshakes wait for none of this.
package servingsecret
