// Package controllers tests the controllers beside a real Portolan. The Pods and
// Nodes of the cluster are in a fake clientset.
package controllers
