// Package etcdsecrets makes and renews the certificates of the etcd that Portolan
// runs on in a cluster, where no cert-manager does: those that members show to
// clients, those that they show to each other, that of Portolan as a client, and
// the authority that signs all three. Each is in a Secret of its own, so that
// each Pod has the keys that it needs and no more; only whoever runs this needs
// the authority's.
//
// It is run at the installation and every week or so after that. What needn't be
// done isn't done, so it may be run at any time and by several at once: writes
// carry the resource version of what was read, and whoever loses begins anew.
//
// Certificates are renewed when a third of their year is left. Nobody has to be
// restarted: etcd and Portolan's client read certificate and key from their
// files on each handshake (TLSInfo.baseConfig in etcd's client/pkg/transport),
// which the kubelet replaces within minutes, and on connections that are there
// they are not looked at again.
//
// The authority is another matter. Both sides read ca.crt once, when they start.
// So it lives for ten years. When a third of that is left a second one is put
// beside it into each ca.crt, and it takes a year until that signs anything.
// Within that year etcd and Portolan have to be restarted once, one Pod after
// the other, which any update does; Ensure says so each time. Those that weren't
// are refused when they connect to somebody whose certificate the new one has
// signed. The old authority stays in ca.crt until it expires.
//
// Certificates of members are for clients, too: etcd's gRPC gateway connects to
// its own member with the one that it shows to clients (Etcd.grpcGatewayDial in
// server/embed), and peers connect to each other with theirs. A member looks
// where a peer connects from and refuses it unless its certificate is for that
// address or for a name of it (checkCertSAN in client/pkg/transport). It looks
// up the names in the certificate, which the headless Service has if it publishes
// addresses that are not ready, and the address's names, which end in the
// cluster's domain: hence the names that do.
package etcdsecrets
