// Package ui serves a page that shows ranges as maps of cells, to one user on one machine.
//
// A [Model] follows the ranges and claims with the rights of the user's kubeconfig. The
// page's requests are answered from the model, with the figures of package occupancy, and
// never forwarded. A stream of events tells the page when to ask again.
//
// The page has what its user may see, so other users of the machine must not get it, nor
// must pages of other sites that the user's browser shows:
//
//   - The server listens on loopback only.
//   - The path of each address begins with a secret that is made at each start. Nothing logs
//     paths.
//   - The Host header must name loopback, so that another site cannot give its own name to
//     the server (DNS rebinding).
//   - There are only GET requests, and nothing that they change.
//   - The page loads nothing from elsewhere. Its Content-Security-Policy forbids that, and
//     inline scripts.
package ui
