// Package etcdsecrets creates and renews the certificates of Portolan's etcd in a
// cluster without cert-manager: the members' server and peer certificates,
// Portolan's client certificate, and the authority that signs all three. Each has
// its own Secret, so that each Pod has only the keys that it needs. Only the
// process that runs Ensure needs the authority's key.
//
// Ensure runs at installation and then about every week. It does only what is due,
// so it can run at any time, and several times at once: its writes carry the
// resource version that was read, and a conflicting run starts over.
//
// Certificates are valid for a year and renewed when a third of it is left. Nothing
// has to restart for that: etcd and Portolan's client read certificate and key from
// their files on each handshake (TLSInfo.baseConfig in etcd's client/pkg/transport).
// The kubelet replaces the files within minutes. Open connections don't check their
// certificates again.
//
// The authority is different, because etcd and Portolan read ca.crt only at startup.
// It is valid for ten years. When a third of that is left, a second authority is
// added to each ca.crt, and a year later it starts to sign. Within that year etcd
// and Portolan must be restarted once, one Pod after the other, which any update
// does; until then each run of Ensure prints a reminder. A process that was not
// restarted rejects certificates that the new authority has signed. The old
// authority stays in ca.crt until it expires.
//
// The members' certificates are client certificates, too. etcd's gRPC gateway
// connects to its own member with the server certificate (Etcd.grpcGatewayDial in
// server/embed), and peers connect to each other with theirs. A member rejects a
// peer unless its certificate contains the address that it connects from, or a name
// of that address (checkCertSAN in client/pkg/transport). It resolves the names in
// the certificate, which works if the headless Service publishes addresses that are
// not ready. It also looks up the names of the address, and those end in the
// cluster's domain, so the certificate contains such names.
package etcdsecrets
