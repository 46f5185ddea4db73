package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// programs are the binaries to run, and what to call them in the report.
type programs struct {
	upstream.Programs
	root                     string
	kubeVersion, etcdVersion string
	commit                   string
}

// build makes the programs that no flag names. Those of Kubernetes come from a
// module of their own that pins the versions.
func build(ctx context.Context, o *options) (*programs, error) {
	gomod, err := output(ctx, "", "go", "env", "GOMOD")
	if err != nil {
		return nil, err
	}
	if gomod == "" || gomod == os.DevNull {
		return nil, errors.New("run this inside Portolan's source tree: go run ./test/bench")
	}
	root := filepath.Dir(gomod)
	p := &programs{root: root}
	kubernetes := filepath.Join(root, "hack", "kubernetes")
	for _, program := range []struct {
		given   string
		path    *string
		dir     string
		name    string
		pattern string
		hint    string
	}{
		{o.kubeAPIServer, &p.KubeAPIServer, kubernetes, "kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver",
			" (this takes minutes the first time)"},
		{o.etcd, &p.Etcd, kubernetes, "etcd", "go.etcd.io/etcd/server/v3", ""},
		{o.portolan, &p.Portolan, root, "portolan", "./cmd/portolan", ""},
	} {
		if program.given != "" {
			if *program.path, err = filepath.Abs(program.given); err != nil {
				return nil, err
			}
			continue
		}
		*program.path = filepath.Join(root, ".bin", program.name)
		log.Printf("building %s into .bin/%s", program.name, program.hint)
		if err := compile(ctx, program.dir, *program.path, program.pattern); err != nil {
			return nil, err
		}
	}
	if o.baseline != "" {
		if o.baseline, err = filepath.Abs(o.baseline); err != nil {
			return nil, err
		}
	}
	if p.kubeVersion, err = output(ctx, kubernetes, "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes"); err != nil {
		return nil, err
	}
	if p.etcdVersion, err = output(ctx, kubernetes, "go", "list", "-m", "-f", "{{.Version}}", "go.etcd.io/etcd/server/v3"); err != nil {
		return nil, err
	}
	// A tree without git can be measured too.
	p.commit, _ = output(ctx, root, "git", "describe", "--always", "--dirty")
	return p, nil
}

func compile(ctx context.Context, dir, binary, pattern string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-C", dir, "-o", binary, pattern)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s: %w", pattern, err)
	}
	return nil
}

func output(ctx context.Context, dir string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
