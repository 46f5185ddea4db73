package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/store/format"
)

// Run serves until the context ends, and says on out what to type next once
// the server is ready. It returns when all requests are done and etcd, where
// it is embedded, has stopped.
func Run(ctx context.Context, o *options.Options, out io.Writer) (err error) {
	if err := o.Complete(); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	if err := o.CheckFiles(); err != nil {
		return err
	}
	if err := checkListening(o); err != nil {
		return err
	}
	store, err := openStore(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	// Only now is the data directory this server's: what is in it may be in use.
	files, err := chooseCertificates(o)
	if err != nil {
		return err
	}
	stored := format.Store{Client: store.Client, Prefix: o.Etcd.StorageConfig.Prefix}
	return stored.Guard(ctx, func(ctx context.Context) error {
		config, err := NewConfig(ctx, o, store, files)
		if err != nil {
			return err
		}
		if err := config.applyServingSecret(ctx, o); err != nil {
			return err
		}
		server, err := config.Complete().New()
		if err != nil {
			return err
		}
		go announce(ctx, server.Generic, o, files, out)
		return server.Generic.PrepareRun().RunWithContext(ctx)
	})
}

// chooseCertificates decides where the server's certificates come from: the files or
// the Secret that the flags name or else, and for the administrator of a server
// without a cluster, those that it keeps in its data directory.
func chooseCertificates(o *options.Options) (files datadir.Files, err error) {
	serving := &o.SecureServing.ServerCert.CertKey
	named := serving.CertFile != "" || serving.KeyFile != "" || o.ServingSecret != ""
	switch {
	case !o.InCluster():
		files, err = datadir.Ensure(o.DataDir, endpoint(o), time.Now())
	case !named:
		files, err = datadir.EnsureServing(o.DataDir, endpoint(o), time.Now())
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%w: free space there and start again", err)
	}
	if err != nil {
		return files, fmt.Errorf("certificates in %s: %w", o.DataDir, err)
	}
	for _, file := range files.Moved {
		klog.InfoS("The kubeconfig leads to the server's new URL now", "kubeconfig", file, "server", endpoint(o).URL)
	}
	if !named {
		serving.CertFile, serving.KeyFile = files.ServingCert, files.ServingKey
	}
	return files, nil
}

func openStore(ctx context.Context, o *options.Options) (*etcd.Store, error) {
	if o.Embedded() {
		store, err := etcd.StartEmbedded(ctx, o.DataDir)
		if err != nil {
			return nil, fmt.Errorf("--data-dir: %w", err)
		}
		return store, nil
	}
	return etcd.Connect(ctx, o.Etcd.StorageConfig.Transport)
}

// endpoint is what the certificates are made for: the address that is bound
// or, where that is all of them, those that this machine has.
func endpoint(o *options.Options) datadir.Server {
	bound := o.SecureServing.BindAddress
	server := datadir.Server{
		Names: []string{"localhost", "portolan"},
		IPs:   []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	host := bound
	if bound.IsUnspecified() {
		host = net.IPv4(127, 0, 0, 1)
		if addrs, err := net.InterfaceAddrs(); err == nil {
			for _, addr := range addrs {
				if network, ok := addr.(*net.IPNet); ok {
					server.IPs = append(server.IPs, network.IP)
				}
			}
		}
		if name, err := os.Hostname(); err == nil {
			server.Names = append(server.Names, name)
		}
	} else if !bound.IsLoopback() {
		server.IPs = append(server.IPs, bound)
	}
	server.URL = "https://" + net.JoinHostPort(host.String(), fmt.Sprint(o.SecureServing.BindPort))
	return server
}
