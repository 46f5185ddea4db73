package server

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/portolan-dev/portolan/pkg/server/options"
)

// checkListening returns an error if the server cannot listen on the address of the flags.
// It closes the listener again: the connections of clients are refused during startup, and
// do not hang.
func checkListening(o *options.Options) error {
	serving := o.SecureServing
	if serving.Listener != nil || serving.PermitPortSharing || serving.PermitAddressSharing {
		return nil
	}
	address := net.JoinHostPort(serving.BindAddress.String(), strconv.Itoa(serving.BindPort))
	listener, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		return listener.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("--secure-port: %s is in use by another process: stop that one, or choose another port", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("--bind-address: %s is not an address of this machine", serving.BindAddress)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("--secure-port: no permission to listen on %s: choose a port of 1024 or more, or run with more rights", address)
	}
	return fmt.Errorf("--bind-address and --secure-port: %w", err)
}
