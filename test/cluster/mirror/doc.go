// Package mirror tests the mirror of a cluster's Services, and their adoption, beside a real
// kube-apiserver. The tests have the tag e2e.
package mirror
