//go:build !linux

package framework

func becomeProgram() (bool, error) { return false, nil }
