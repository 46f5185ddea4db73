// Package imports holds the rules of which package may depend on what. What a
// package must not import it must not get by way of another either.
package imports

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/portolan-dev/portolan"

var rules = []struct {
	packages string
	mayNot   []string
	why      string
}{
	{
		packages: "/apis/...",
		mayNot:   []string{"k8s.io/apiserver", "k8s.io/client-go", "go.etcd.io", module + "/pkg", module + "/generated"},
		why:      "whoever imports the types gets no server and no client with them",
	},
	{
		packages: "/pkg/allocation/space/...",
		mayNot:   []string{"k8s.io/apiserver", "k8s.io/client-go", "go.etcd.io", "k8s.io/component-base/metrics", "github.com/prometheus"},
		why:      "picking is pure: no client, no I/O, no metrics",
	},
	{
		packages: "/pkg/allocation/...",
		mayNot:   []string{"k8s.io/apiserver", "k8s.io/client-go", "go.etcd.io", "k8s.io/component-base/metrics", "github.com/prometheus"},
		why:      "the index is pure: no client, no I/O, and figures for whoever exports them",
	},
	{
		packages: "/pkg/etcd/quota/...",
		mayNot:   []string{"k8s.io", "go.etcd.io", "github.com/prometheus"},
		why:      "whether there is room is arithmetic: no client, no I/O",
	},
	{
		packages: "/pkg/certificates",
		mayNot:   []string{"k8s.io/apiserver", "k8s.io/client-go/kubernetes", "k8s.io/client-go/rest", "go.etcd.io"},
		why:      "what is due when is pure: no client, no I/O",
	},
	{
		packages: "/pkg/service/...",
		mayNot:   []string{"k8s.io/apiserver", "k8s.io/client-go", "go.etcd.io"},
		why:      "the rules of a Service are pure: no client, no I/O",
	},
	{
		packages: "/pkg/controllers/rules/...",
		mayNot:   []string{"k8s.io/apiserver", "k8s.io/client-go", "go.etcd.io"},
		why:      "the way from Pods to endpoints is pure: no client, no I/O",
	},
	{
		packages: "/pkg/controllers/garbagecollector/graph/...",
		mayNot:   []string{"k8s.io/apiserver", "k8s.io/client-go", "go.etcd.io"},
		why:      "who owns what is pure: no client, no I/O",
	},
	{
		packages: "/pkg/envvars/...",
		mayNot:   []string{"k8s.io/apiserver", "k8s.io/client-go", "go.etcd.io"},
		why:      "what the variables of a Service are is pure: no client, no I/O",
	},
	{
		packages: "/pkg/serviceaccount",
		mayNot:   []string{"k8s.io/client-go", "go.etcd.io"},
		why:      "what a token says and whether it is valid is pure: no client, no I/O",
	},
	{
		packages: "/pkg/...",
		mayNot:   []string{module + "/test"},
		why:      "the product does not depend on its tests",
	},
	{
		packages: "/pkg/storage/...",
		mayNot:   []string{module + "/pkg/admission", module + "/pkg/claims", module + "/pkg/registry", module + "/pkg/server"},
		why:      "the storage stack is the same for every kind",
	},
	{
		packages: "/pkg/admission/...",
		mayNot:   []string{module + "/pkg/registry", module + "/pkg/server"},
		why:      "a request passes admission before the registry, and never the other way",
	},
	{
		packages: "/pkg/controllers/...",
		mayNot:   []string{module + "/pkg/registry", module + "/pkg/server"},
		why:      "controllers are clients of the API",
	},
}

func TestImports(t *testing.T) {
	noteSources(t)
	for _, rule := range rules {
		t.Run(rule.packages, func(t *testing.T) {
			for _, importer := range dependencies(t, module+rule.packages) {
				for _, imported := range importer.Imports {
					if below(imported, rule.mayNot) && !below(importer.ImportPath, rule.mayNot) {
						t.Errorf("%s imports %s; %s", importer.ImportPath, imported, rule.why)
					}
				}
			}
		})
	}
}

// TestKindsAreApart keeps one kind's package from importing another's.
func TestKindsAreApart(t *testing.T) {
	noteSources(t)
	const registry = module + "/pkg/registry/"
	shared := []string{registry + "generic", registry + "claim"}
	for _, kind := range dependencies(t, module+"/pkg/registry/...") {
		if !strings.HasPrefix(kind.ImportPath, registry) {
			continue
		}
		for _, imported := range kind.Imports {
			if strings.HasPrefix(imported, registry) && !slices.Contains(shared, imported) {
				t.Errorf("%s imports %s", kind.ImportPath, imported)
			}
		}
	}
}

// TestTransactions keeps etcd transactions in the packages that are for them: txn for
// requests, and those that keep records of the servers or work on a store as a whole.
func TestTransactions(t *testing.T) {
	root := filepath.Join("..", "..")
	allowed := []string{
		"pkg/txn", "pkg/standalone/kubernetesservice", "pkg/etcd", "pkg/etcdlock", "pkg/store/migrate", "pkg/store/format", "pkg/store/verify",
		"pkg/store/importer",
	}
	found := 0
	for _, dir := range []string{"cmd", "pkg"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(node ast.Node) bool {
				call, ok := node.(*ast.CallExpr)
				if !ok {
					return true
				}
				if selector, ok := call.Fun.(*ast.SelectorExpr); !ok || selector.Sel.Name != "Txn" {
					return true
				}
				found++
				if relative, err := filepath.Rel(root, filepath.Dir(path)); err != nil || !slices.Contains(allowed, filepath.ToSlash(relative)) {
					t.Errorf("%s: a transaction outside of %v", files.Position(call.Pos()), allowed)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Error("no transaction was found: the rule has nothing to hold for")
	}
}

// noteSources opens the folders that the rules are about. go test keeps a result
// for as long as what the test itself opened is unchanged, and would otherwise
// repeat an old one, as it doesn't see what go list reads.
func noteSources(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"apis", "generated", "pkg"} {
		root := filepath.Join("..", "..", dir)
		err := filepath.WalkDir(root, func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			t.Fatal(err)
		}
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

// dependencies are the packages that match the pattern and all they depend on.
func dependencies(t *testing.T, pattern string) []goPackage {
	t.Helper()
	var complaints bytes.Buffer
	list := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports", pattern)
	list.Stderr = &complaints
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", list, err, &complaints)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			if len(packages) == 0 {
				t.Fatalf("no package matches %s: the rule has nothing to hold for", pattern)
			}
			return packages
		case err != nil:
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func below(path string, roots []string) bool {
	for _, root := range roots {
		if path == root || strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return false
}
