// Package serviceaccount issues the tokens of ServiceAccounts and authenticates their
// bearers. A token is a JSON Web Token (RFC 7519) with kube-apiserver's claims and
// messages (its pkg/serviceaccount, which cannot be imported).
//
//   - Issuer signs tokens with one key, and knows the public keys of others.
//   - Authenticator returns the user of a token. The ServiceAccount must exist and have the
//     UID of the token, so that the tokens of a deleted account end with it. So must the
//     Pod, Secret or Node that the token is bound to.
//   - discovery.go has the documents with which other programs verify tokens (OpenID
//     Connect Discovery 1.0, RFC 7517).
//
// It is pure: it reads no file, and objects only through a function of the caller's.
package serviceaccount
