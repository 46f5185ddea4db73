package upgrade

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	released   = "v0.1.0"
	keyPrefix  = "/registry/portolan.dev/"
	clusterIPs = "10.96.0.0/16,fd00:10:96::/112"
)

// record makes TestWhatIsStored record the store of another binary: see
// testdata/README.md.
var record = flag.String("record", "", "a portolan binary of the release "+released+" to record in testdata")

// variant is an encoding of a release's store.
type variant struct {
	name, mediaType string
}

var variants = []variant{
	{"protobuf", runtime.ContentTypeProtobuf},
	{"json", runtime.ContentTypeJSON},
}

func (v variant) flags() []string {
	return []string{"--storage-media-type=" + v.mediaType, "--service-cluster-ip-range=" + clusterIPs}
}

func (v variant) options(o *options.Options) {
	o.Etcd.DefaultStorageMediaType = v.mediaType
	o.ClusterIPRanges = strings.Split(clusterIPs, ",")
}

// withoutCore serves only what the release served: such a server needs no
// namespaces and stores none.
func (v variant) withoutCore(o *options.Options) {
	v.options(o)
	o.ServeCore = ptr.To(false)
}

// file returns the path of a recorded file.
func (v variant) file(what string) string {
	return filepath.Join("testdata", released, v.name+"."+what+".jsonl")
}

// stored is a key of a store. Its value is in Text if it is JSON.
type stored struct {
	Key    string          `json:"key"`
	Text   json.RawMessage `json:"text,omitempty"`
	Binary []byte          `json:"binary,omitempty"`
}

func (s stored) value() string {
	if s.Binary != nil {
		return string(s.Binary)
	}
	// The JSON encoder ends with a newline.
	return string(s.Text) + "\n"
}

// served is an object in a server's answer.
type served struct {
	Resource string                     `json:"resource"`
	Object   *unstructured.Unstructured `json:"object"`
}

func (s served) name() string {
	return s.Resource + "/" + s.Object.GetNamespace() + "/" + s.Object.GetName()
}

func readLines[T any](t *testing.T, path string) []T {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	for decoder := json.NewDecoder(bytes.NewReader(data)); ; {
		var one T
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, one)
	}
}

func writeLines[T any](t *testing.T, path string, all []T) {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for _, one := range all {
		if err := encoder.Encode(one); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestWhatIsStored writes the objects of testdata. The store must have no field
// that the release does not know, because a rollback would lose it. A change
// that adds a field decides whether that is a new format (see package format),
// and records the release that has it.
func TestWhatIsStored(t *testing.T) {
	if *record != "" {
		for _, v := range variants {
			v.record(t)
		}
		return
	}
	t.Parallel()
	v := variants[1]
	server := framework.Start(t, v.withoutCore)
	createObjects(t, server.Config)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	known := fieldsOf(t, readLines[stored](t, v.file("store")))
	for resource, fields := range fieldsOf(t, dump(t, server.DataDir)) {
		for field := range fields {
			if !known[resource][field] {
				t.Errorf("%s are stored with %s, which %s doesn't know", resource, field, released)
			}
		}
		if len(known[resource]) < 10 {
			t.Errorf("hardly a field of %s was recorded: %v", resource, known[resource])
		}
	}
}

// fieldsOf returns the paths of the fields in a store, by resource. It omits
// managed fields, which follow from the others.
func fieldsOf(t *testing.T, all []stored) map[string]map[string]bool {
	t.Helper()
	fields := map[string]map[string]bool{}
	for _, one := range all {
		resource, _, isObject := strings.Cut(strings.TrimPrefix(one.Key, keyPrefix), "/")
		if !isObject {
			continue
		}
		var object any
		if err := json.Unmarshal(one.Text, &object); err != nil {
			t.Fatalf("%s: %v", one.Key, err)
		}
		if fields[resource] == nil {
			fields[resource] = map[string]bool{}
		}
		addFields(fields[resource], "", object)
	}
	return fields
}

func addFields(into map[string]bool, path string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for key, below := range value {
			if key != "fieldsV1" {
				addFields(into, path+"."+key, below)
			}
		}
	case []any:
		for _, below := range value {
			addFields(into, path+"[]", below)
		}
	default:
		into[path] = true
	}
}

// record runs the binary, writes the objects and records its store.
func (v variant) record(t *testing.T) {
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"serve", "--data-dir=" + dir, fmt.Sprintf("--secure-port=%d", port)}, v.flags()...)
	server := exec.CommandContext(t.Context(), *record, args...)
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Portolan is ready") {
		t.Log(lines.Text())
	}
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "admin.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	createObjects(t, config)
	writeLines(t, v.file("served"), listAll(t, config))
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Fatal(err)
	}
	writeLines(t, v.file("store"), dump(t, dir))
}

// dump returns the store of a data directory, in the order of writes.
func dump(t *testing.T, dir string) []stored {
	t.Helper()
	store, err := etcd.StartEmbedded(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := store.Client.Get(t.Context(), "/", clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortAscend))
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	var dumped []stored
	for _, kv := range all.Kvs {
		one := stored{Key: string(kv.Key)}
		if bytes.HasPrefix(kv.Value, []byte("{")) {
			one.Text = bytes.TrimSpace(kv.Value)
		} else {
			one.Binary = kv.Value
		}
		dumped = append(dumped, one)
	}
	return dumped
}

// objectsOf returns the objects of testdata/objects.yaml.
func objectsOf(t *testing.T) []served {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "objects.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all []served
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			t.Fatal(err)
		}
		all = append(all, served{Resource: resourceOf(object.GetKind()), Object: object})
	}
}

func resourceOf(kind string) string {
	switch {
	case kind == "Endpoints":
		return "endpoints"
	case strings.HasSuffix(kind, "ss"):
		return strings.ToLower(kind) + "es"
	default:
		return strings.ToLower(kind) + "s"
	}
}

// on returns a client of an object's resource, in its namespace.
func on(t *testing.T, config *rest.Config, s served) dynamic.ResourceInterface {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	resource := client.Resource(v1.SchemeGroupVersion.WithResource(s.Resource))
	switch s.Resource {
	case "services", "endpoints", "endpointslices":
		if namespace := s.Object.GetNamespace(); namespace != "" {
			return resource.Namespace(namespace)
		}
		return resource.Namespace("default")
	}
	return resource
}

// createObjects creates the objects of testdata, and makes changes that need
// further writes.
func createObjects(t *testing.T, config *rest.Config) {
	t.Helper()
	all := objectsOf(t)
	for _, one := range all {
		if _, err := on(t, config, one).Create(t.Context(), one.Object, metav1.CreateOptions{FieldManager: "recorder"}); err != nil {
			t.Fatalf("%s: %v", one.name(), err)
		}
	}
	services := on(t, config, served{"services", &unstructured.Unstructured{}})
	apply := `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"web","labels":{"example.com/applied":"yes"}},"spec":{"ports":[{"name":"extra","port":81,"protocol":"TCP"}]}}`
	if _, err := services.Patch(t.Context(), "web", types.ApplyPatchType, []byte(apply),
		metav1.PatchOptions{FieldManager: "applier"}); err != nil {
		t.Fatal(err)
	}
	status := `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.9","ipMode":"VIP","ports":[{"port":443,"protocol":"TCP"}]}]},"conditions":[{"type":"example.com/Ready","status":"True","reason":"Made","message":"it is there","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
	if _, err := services.Patch(t.Context(), "balanced", types.MergePatchType, []byte(status), metav1.PatchOptions{FieldManager: "balancer"},
		"status"); err != nil {
		t.Fatal(err)
	}
	// It keeps its claims, and its slice is marked for deletion with it.
	if err := services.Delete(t.Context(), "leaving", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	slices := on(t, config, served{"endpointslices", &unstructured.Unstructured{}})
	if err := slices.Delete(t.Context(), "leaving-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// listAll returns all objects of a server, by resource and name.
func listAll(t *testing.T, config *rest.Config) []served {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	var all []served
	for _, kind := range registry.PortolanKinds() {
		resource := kind.Resource
		list, err := client.Resource(v1.SchemeGroupVersion.WithResource(resource.Resource)).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range list.Items {
			all = append(all, served{resource.Resource, &list.Items[i]})
		}
	}
	slices.SortFunc(all, func(a, b served) int { return strings.Compare(a.name(), b.name()) })
	return all
}
