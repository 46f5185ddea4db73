package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/etcd/etcdtest"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/storage"
)

func startStore(t *testing.T) *clientv3.Client {
	t.Helper()
	return etcdtest.Start(t).Client
}

// storedIn returns how the resources are stored if they are encoded in a media
// type.
func storedIn(t *testing.T, mediaType string) map[string]storage.Resource {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	codecs := serializer.NewCodecFactory(scheme)
	info, ok := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), mediaType)
	if !ok {
		t.Fatalf("no serializer for %s", mediaType)
	}
	codec := codecs.CodecForVersions(info.Serializer, codecs.UniversalDeserializer(), v1.SchemeGroupVersion, v1.SchemeGroupVersion)
	stored := map[string]storage.Resource{}
	for _, kind := range registry.Kinds() {
		resource := kind.Resource
		stored[resource.Resource] = storage.Resource{
			Prefix:      "/registry/portolan.dev/" + resource.Resource + "/",
			Codec:       codec,
			Transformer: identity.NewEncryptCheckTransformer(),
		}
	}
	return stored
}

// fill stores n NodePorts in JSON.
func fill(t *testing.T, kv clientv3.KV, n int) {
	t.Helper()
	ports := storedIn(t, runtime.ContentTypeJSON)["nodeports"]
	for i := range n {
		port := &v1.NodePort{}
		port.Name = fmt.Sprint(i + 1)
		put, err := ports.Encode(t.Context(), port.Name, port)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(t.Context(), put.Key, string(put.Value)); err != nil {
			t.Fatal(err)
		}
	}
}

// inJSON counts the NodePorts that are stored in JSON.
func inJSON(t *testing.T, kv clientv3.KV) int {
	t.Helper()
	all, err := kv.Get(t.Context(), "/registry/portolan.dev/nodeports/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, kv := range all.Kvs {
		if bytes.HasPrefix(kv.Value, []byte("{")) {
			n++
		}
	}
	return n
}

func (m Migration) run(t *testing.T, want Count) {
	t.Helper()
	report, err := m.Run(t.Context())
	if err != nil {
		t.Error(err)
	}
	want.Resource = "all"
	if got := report.Total(); got != want {
		t.Errorf("got %+v, want %+v\n%s", got, want, report)
	}
	if (report.Err() != nil) != (want.Unreadable > 0) || len(report.Unreadable) != want.Unreadable {
		t.Errorf("%v\n%s", report.Err(), report)
	}
}

func TestRun(t *testing.T) {
	const n = 2*pageSize + 1
	client := startStore(t)
	fill(t, client, n)
	m := Migration{KV: client, Stored: storedIn(t, runtime.ContentTypeProtobuf), DryRun: true}
	m.run(t, Count{Read: n, Rewritten: n})
	if left := inJSON(t, client); left != n {
		t.Errorf("a dry run rewrote %d", n-left)
	}
	m.DryRun = false
	m.run(t, Count{Read: n, Rewritten: n})
	if left := inJSON(t, client); left != 0 {
		t.Errorf("%d were left", left)
	}
	before := revision(t, client)
	m.run(t, Count{Read: n})
	if after := revision(t, client); after != before {
		t.Errorf("the second time it wrote %d times", after-before)
	}
}

func revision(t *testing.T, kv clientv3.KV) int64 {
	t.Helper()
	response, err := kv.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	return response.Header.Revision
}

func TestUnreadable(t *testing.T) {
	client := startStore(t)
	fill(t, client, 1)
	port, err := client.Get(t.Context(), "/registry/portolan.dev/nodeports/1")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		"services/default/broken":    "k8s\x00broken",
		"services/default/encrypted": "k8s:enc:aescbc:v1:key:data",
		"services/default/empty":     "",
		"services/default/port":      string(port.Kvs[0].Value),
		"services/default/tomorrow":  `{"apiVersion":"portolan.dev/v9","kind":"Service"}`,
		// Not under the prefix of a resource.
		"servicesandmore/x": "broken",
	} {
		if _, err := client.Put(t.Context(), "/registry/portolan.dev/"+key, value); err != nil {
			t.Fatal(err)
		}
	}
	m := Migration{KV: client, Stored: storedIn(t, runtime.ContentTypeProtobuf)}
	before := revision(t, client)
	m.run(t, Count{Read: 6, Rewritten: 1, Unreadable: 5})
	if after := revision(t, client); after != before+1 {
		t.Errorf("%d writes", after-before)
	}
	report, err := m.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(report.String()), "\n")
	for i, want := range []string{
		"unreadable: decoding /registry/portolan.dev/services/default/broken: ",
		"unreadable: decoding /registry/portolan.dev/services/default/empty: ",
		"unreadable: decoding /registry/portolan.dev/services/default/port: ",
		"unreadable: decoding /registry/portolan.dev/services/default/tomorrow: ",
		"unreadable: decrypting /registry/portolan.dev/services/default/encrypted: ",
	} {
		if got := lines[len(lines)-5+i]; !strings.HasPrefix(got, want) {
			t.Errorf("line %q, want %q", got, want)
		}
	}
}

// beforeTxn is an etcd client that calls do before each transaction.
type beforeTxn struct {
	clientv3.KV
	do func()
}

func (b beforeTxn) Txn(ctx context.Context) clientv3.Txn {
	b.do()
	return b.KV.Txn(ctx)
}

// TestWrittenMeanwhile changes one object and deletes another after the migration
// has read them.
func TestWrittenMeanwhile(t *testing.T) {
	client := startStore(t)
	fill(t, client, 2)
	const changed = `{"apiVersion":"portolan.dev/v1","kind":"NodePort","metadata":{"name":"1"},"spec":{"protocols":["UDP"]}}`
	kv := beforeTxn{client, func() {
		_, err := client.Put(t.Context(), "/registry/portolan.dev/nodeports/1", changed)
		if err != nil {
			t.Error(err)
		}
		if _, err = client.Delete(t.Context(), "/registry/portolan.dev/nodeports/2"); err != nil {
			t.Error(err)
		}
	}}
	m := Migration{KV: kv, Stored: storedIn(t, runtime.ContentTypeProtobuf)}
	m.run(t, Count{Read: 2, WrittenMeanwhile: 2})
	all, err := client.Get(t.Context(), "/registry", clientv3.WithPrefix())
	if err != nil || all.Count != 1 || string(all.Kvs[0].Value) != changed {
		t.Errorf("%v, %v", all, err)
	}
}

// TestInterrupted interrupts a migration and runs it again.
func TestInterrupted(t *testing.T) {
	const n = pageSize + 1
	client := startStore(t)
	fill(t, client, n)
	ctx, interrupt := context.WithCancel(t.Context())
	m := Migration{KV: beforeTxn{client, interrupt}, Stored: storedIn(t, runtime.ContentTypeProtobuf)}
	report, err := m.Run(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("it went on, with %v", err)
	}
	left := inJSON(t, client)
	if left == 0 || n-left > writers || report.Total().Rewritten > n-left {
		t.Errorf("%d were left; the report is\n%s", left, report)
	}
	// etcd may still commit a write that was interrupted.
	m.KV = client
	if report, err := m.Run(t.Context()); err != nil || report.Total().Rewritten > left || inJSON(t, client) != 0 {
		t.Errorf("%v\n%s", err, report)
	}
}

func TestReport(t *testing.T) {
	report := Report{
		Resources: []Count{
			{Resource: "services", Read: 1200, Rewritten: 1000, WrittenMeanwhile: 10, Unreadable: 1}, {Resource: "endpoints", Read: 1},
		},
		Unreadable: []string{"decoding x: no"},
	}
	want := `RESOURCE    READ   REWRITTEN   WRITTEN MEANWHILE   UNREADABLE
services    1200   1000        10                  1
endpoints   1      0           0                   0
all         1201   1000        10                  1
unreadable: decoding x: no
`
	if got := report.String(); got != want {
		t.Errorf("got\n%s", got)
	}
	report.DryRun = true
	if got := report.String(); !strings.Contains(got, "TO REWRITE") {
		t.Errorf("got\n%s", got)
	}
	if err := report.Err(); err == nil || err.Error() != "1 object can't be read and was left as it is" {
		t.Errorf("got %v", err)
	}
	report.Unreadable = append(report.Unreadable, "y")
	if err := report.Err(); err == nil || err.Error() != "2 objects can't be read and were left as they are" {
		t.Errorf("got %v", err)
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := &pass{Migration: Migration{Progress: &out}, report: Report{Resources: []Count{{}}}}
	for range 2*progressStep + 1 {
		p.count(current)
	}
	if want := "read 10000 objects\nread 20000 objects\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestCustomResources migrates custom resources, which are found by their keys.
func TestCustomResources(t *testing.T) {
	client := startStore(t)
	const prefix = "/registry/portolan.dev/customresources/"
	// The keys of a.b come before those of a.
	keys := []string{"a.b/cats/default/tom", "a/cats/tom", "a/dogs/default/rex", "b/cats/tom"}
	for _, key := range keys {
		if _, err := client.Put(t.Context(), prefix+key, `{"kind": "Pet",  "apiVersion":"a/v1"}`); err != nil {
			t.Fatal(err)
		}
	}
	m := Migration{
		KV: client, Stored: storedIn(t, runtime.ContentTypeProtobuf),
		Custom: storage.CustomResources{Prefix: prefix, Resource: func(r schema.GroupResource) (storage.Resource, error) {
			return storage.Resource{
				Prefix: prefix + r.Group + "/" + r.Resource + "/", Codec: unstructured.UnstructuredJSONScheme,
				Transformer: identity.NewEncryptCheckTransformer(),
			}, nil
		}},
	}
	m.run(t, Count{Read: len(keys), Rewritten: len(keys)})
	m.run(t, Count{Read: len(keys)})
	report, err := m.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, count := range report.Resources {
		if count.Read > 0 {
			names = append(names, count.Resource)
		}
	}
	if got := strings.Join(names, " "); got != "cats.a.b cats.a dogs.a cats.b" {
		t.Errorf("migrated %s", got)
	}
}
