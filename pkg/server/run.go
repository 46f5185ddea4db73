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

// Run serves until the context ends. When the server is ready, it writes to out what to do
// next. It returns when all requests are done and an embedded etcd has stopped.
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

	// Before this point another server may be using the data directory.
	files, err := chooseCertificates(o)
	if err != nil {
		return err
	}
	stored := format.Store{Client: store.Client, Prefix: o.Etcd.StorageConfig.Prefix}
	return stored.WhileKnown(ctx, func(ctx context.Context) error {
		ctx, fail := context.WithCancelCause(ctx)
		defer fail(nil)
		config, err := NewConfig(ctx, o, store, files)
		if err != nil {
			return err
		}
		if err := config.applyServingSecret(ctx, o); err != nil {
			return err
		}
		config.Extra.Fail = fail
		server, err := config.Complete().New()
		if err != nil {
			return err
		}
		go announce(ctx, server.Generic, o, files, out)
		err = server.Generic.PrepareRun().RunWithContext(ctx)
		if failed, is := errors.AsType[misconfiguredError](context.Cause(ctx)); is {
			err = errors.Join(failed.error, err)
		}
		return err
	})
}

// chooseCertificates returns the certificates of the data directory, and creates or renews
// them. They are for the administrator of a standalone server and, unless flags name files
// or a Secret, for serving.
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

// endpoint returns the names, addresses and URL for the certificates and the kubeconfig:
// those of the bound address or, if all are bound, of all addresses of this machine.
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
	if o.InCluster() && o.KeepsKubernetesService() {
		server.Names = append(server.Names, kubernetesNames...)
		server.IPs = append(server.IPs, o.FirstAddress().AsSlice(), o.Advertised().AsSlice())
	}
	server.URL = "https://" + net.JoinHostPort(host.String(), fmt.Sprint(o.SecureServing.BindPort))
	return server
}
