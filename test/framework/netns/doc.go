// Package netns runs the tests of a package in a network namespace of their
// own: what they start can listen on addresses that are not loopback's, and
// reaches nothing and nobody beyond it. Directories of the machine can be replaced
// for them. It needs Linux.
package netns
