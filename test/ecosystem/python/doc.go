// Package python tests the server with the Python client of Kubernetes. Debian's package is
// python3-kubernetes (tested with 22.6.0). The test is skipped where there is none.
package python
