package artifacts

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/portolan-dev/portolan/pkg/cmd"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// options are what the server makes of its arguments.
func (s server) options(t *testing.T) *options.Options {
	t.Helper()
	if len(s.args) == 0 || s.args[0] != "serve" {
		t.Fatalf("the container runs %q", s.args)
	}
	o := options.New()
	var sets cliflag.NamedFlagSets
	o.AddFlags(&sets)
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	for _, name := range sets.Order {
		flags.AddFlagSet(sets.FlagSets[name])
	}
	if err := flags.Parse(s.args[1:]); err != nil {
		t.Fatal(err)
	}
	if flags.NArg() > 0 {
		t.Errorf("beside flags there is %q", flags.Args())
	}
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
	return o
}

// mounted is the volume that a path is on, nil if it is on none.
func (s server) mounted(file string) *corev1.Volume {
	for _, mount := range s.container.VolumeMounts {
		if file == mount.MountPath || strings.HasPrefix(file, mount.MountPath+"/") {
			i := slices.IndexFunc(s.pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
			return &s.pod.Volumes[i]
		}
	}
	return nil
}

// TestArguments wants the server to take its arguments, and to find what they
// name: files in Secrets, a directory to write to, its port.
func TestArguments(t *testing.T) {
	t.Parallel()
	all := whole(t)
	all["examples/cluster-own-etcd"] = Kustomize(t, "examples/cluster-own-etcd")
	for name, manifests := range all {
		t.Run(name, func(t *testing.T) {
			s := serverOf(t, manifests)
			o := s.options(t)
			if !o.InCluster() {
				t.Error("it doesn't follow the cluster")
			}
			if port := s.container.Ports[0]; port.Name != "https" || int(port.ContainerPort) != o.SecureServing.BindPort ||
				!o.SecureServing.BindAddress.IsUnspecified() {
				t.Errorf("%+v isn't what it listens on", port)
			}
			if volume := s.mounted(o.DataDir); volume == nil || volume.EmptyDir == nil {
				t.Errorf("%s can't be written to", o.DataDir)
			}
			transport := o.Etcd.StorageConfig.Transport
			for _, file := range []struct{ path, key string }{
				{transport.TrustedCAFile, "ca.crt"}, {transport.CertFile, "tls.crt"}, {transport.KeyFile, "tls.key"},
			} {
				volume := s.mounted(file.path)
				if volume == nil || volume.Secret == nil || volume.Secret.SecretName != "portolan-etcd-client" || path.Base(file.path) != file.key {
					t.Errorf("%q is not %s of portolan-etcd-client", file.path, file.key)
				}
			}
			if pair := o.SecureServing.ServerCert.CertKey; name == "cluster/cert-manager" {
				for _, file := range []string{pair.CertFile, pair.KeyFile} {
					if volume := s.mounted(file); volume == nil || volume.Secret == nil || volume.Secret.SecretName != "portolan-serving" {
						t.Errorf("%q is not of portolan-serving", file)
					}
				}
			} else if pair.CertFile != "" || !slices.Contains(s.args, "--serving-secret=portolan/portolan-serving") {
				t.Errorf("the serving certificate is from %q; arguments %q", pair.CertFile, s.args)
			}
			// What is under way when the delay is over may take as long as a
			// request may.
			longest := o.Run.ShutdownDelayDuration + o.Run.RequestTimeout
			if grace := time.Duration(*s.pod.TerminationGracePeriodSeconds) * time.Second; grace < longest+5*time.Second {
				t.Errorf("it is killed after %v, and may need %v", grace, longest)
			}
		})
	}
}

// TestCommands wants whatever else runs Portolan's image to be one of its
// commands, with flags that it has.
func TestCommands(t *testing.T) {
	t.Parallel()
	manifests := slices.Concat(Kustomize(t, "cluster"), parse(t, example(t, "verify-job.yaml")), parse(t, example(t, "backup-cronjob.yaml")))
	image := serverOf(t, manifests).container.Image
	got := map[string]string{}
	for _, m := range manifests {
		template := podTemplate(t, m)
		if template == nil || template.Spec.Containers[0].Image != image {
			continue
		}
		command, rest, err := cmd.NewCommand().Find(template.Spec.Containers[0].Args)
		if err != nil {
			t.Fatalf("%s: %v", m.ID(), err)
		}
		got[m.ID()] = command.CommandPath()
		// The server's are parsed with their values, in TestArguments.
		if command.Name() == "serve" {
			continue
		}
		if err := errors.Join(command.ParseFlags(rest), command.ValidateArgs(command.Flags().Args())); err != nil {
			t.Errorf("%s: %v, %q", m.ID(), err, command.Flags().Args())
		}
	}
	want := map[string]string{
		"Deployment portolan/portolan":           "portolan serve",
		"Job portolan/portolan-certificates":     "portolan certificates etcd",
		"CronJob portolan/portolan-certificates": "portolan certificates etcd",
		"Job portolan/portolan-verify":           "portolan verify",
		"CronJob portolan/portolan-backup":       "portolan snapshot",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
