package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/etcd/etcdtest"
	"github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/store/format"
	"github.com/portolan-dev/portolan/pkg/store/verify"
)

func newWriter(t *testing.T) Writer {
	t.Helper()
	store := etcdtest.Start(t)
	scheme := runtime.NewScheme()
	if err := errors.Join(v1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	codecs := serializer.NewCodecFactory(scheme)
	info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	codec := codecs.CodecForVersions(info.Serializer, codecs.UniversalDeserializer(), v1.SchemeGroupVersion, v1.SchemeGroupVersion)
	stored := map[string]storage.Resource{}
	for _, name := range []string{"services", "ipaddresses", "nodeports", "servicecidrs", "nodeportranges", "endpoints", "endpointslices"} {
		stored[name] = storage.Resource{
			Prefix: "/registry/portolan.dev/" + name + "/", Codec: codec, Transformer: identity.NewEncryptCheckTransformer(),
		}
	}
	return Writer{Client: store.Client, Prefix: "/registry", Stored: stored}
}

// manyServices returns a sound cluster with n Services, one of which has 300 node ports.
func manyServices(n int) *Contents {
	contents := newContents()
	contents.Services, contents.IPAddresses, contents.Ports = nil, nil, nil
	for i := range n {
		name, address := fmt.Sprintf("s%d", i), fmt.Sprintf("10.96.%d.%d", 1+i/200, 1+i%200)
		contents.Services = append(contents.Services, newService(name, address, 0, 1))
		contents.IPAddresses = append(contents.IPAddresses, newAddress(address, name))
	}
	large := &contents.Services[n/2].Spec
	large.Type, large.Ports = corev1.ServiceTypeNodePort, nil
	for i := range int32(300) {
		large.Ports = append(large.Ports, corev1.ServicePort{Name: fmt.Sprint(i), Port: 1 + i, NodePort: 30000 + i, Protocol: corev1.ProtocolTCP})
	}
	return contents
}

const services = 500

func planMany(t *testing.T) *Plan {
	t.Helper()
	plan := newPlan(t, manyServices(services), Options{PortRange: "30000-32767"})
	if err := plan.Err(); err != nil {
		t.Fatalf("%v\n%s", err, plan)
	}
	return plan
}

// expectImported expects a store to be whole.
func (w Writer) expectImported(t *testing.T) {
	t.Helper()
	contents, err := verify.Read(t.Context(), w.Client, w.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	report := verify.Check(contents)
	if report.Err() != nil || len(report.Warnings) > 0 || report.Services != services ||
		report.AddressesHeld != services || report.PortsHeld != 300 {
		t.Errorf("got %s", report)
	}
	if _, err := w.format().Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// expectEmpty expects a store that a server can be started on, without objects.
func (w Writer) expectEmpty(t *testing.T) {
	t.Helper()
	if err := w.checkEmpty(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := w.format().Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWrite(t *testing.T) {
	w := newWriter(t)
	counting := &countingKV{KV: w.Client.KV}
	w.Client.KV = counting
	if err := w.Write(t.Context(), planMany(t), "test"); err != nil {
		t.Fatal(err)
	}
	w.expectImported(t)
	// 500 Services with an address each, and the one with 300 ports alone.
	if n := counting.txns.Load(); n < 10 || n > 15 {
		t.Errorf("%d transactions", n)
	}
	if err := w.Write(t.Context(), planMany(t), "test"); err == nil || !strings.Contains(err.Error(), "the store is not empty: it has ") {
		t.Errorf("a second time: %v", err)
	}
	w.expectImported(t)
}

// countingKV counts transactions.
type countingKV struct {
	clientv3.KV
	txns atomic.Int32
	at   int32
	// do runs before the transaction with that number.
	do func()
}

var errTest = errors.New("test")

func (c *countingKV) Txn(ctx context.Context) clientv3.Txn {
	if c.txns.Add(1) == c.at {
		c.do()
	}
	return c.KV.Txn(ctx)
}

// TestWriteFails cancels an import while it writes. Nothing is left of it.
func TestWriteFails(t *testing.T) {
	w := newWriter(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	w.Client.KV = &countingKV{KV: w.Client.KV, at: 4, do: func() { cancel(errTest) }}
	if err := w.Write(ctx, planMany(t), "test"); err == nil || !strings.Contains(err.Error(), "nothing was imported") {
		t.Errorf("got %v", err)
	}
	w.expectEmpty(t)
}

// TestWriteAgain imports into a store on which an import was killed.
func TestWriteAgain(t *testing.T) {
	w := newWriter(t)
	if _, _, err := w.format().BeginImport(t.Context(), "cluster.db"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Client.Put(t.Context(), "/registry/portolan.dev/services/default/part", "x"); err != nil {
		t.Fatal(err)
	}
	_, err := w.format().Ensure(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the import of cluster.db into this store has not finished") {
		t.Errorf("a server starts: %v", err)
	}
	if err := w.Write(t.Context(), planMany(t), "test"); err != nil {
		t.Fatal(err)
	}
	w.expectImported(t)
}

// TestWriteTakenOver starts a second import while the first one writes. Only the second one
// writes from then on.
func TestWriteTakenOver(t *testing.T) {
	w := newWriter(t)
	other := Writer{Client: w.Client, Prefix: w.Prefix, Stored: w.Stored}
	client := clientv3.NewCtxClient(t.Context())
	client.KV = &countingKV{KV: w.Client.KV, at: 4, do: func() {
		if err := other.Write(t.Context(), planMany(t), "other"); err != nil {
			t.Error(err)
		}
	}}
	w.Client = client
	if err := w.Write(t.Context(), planMany(t), "test"); !errors.Is(err, errTakenOver) {
		t.Errorf("got %v", err)
	}
	other.expectImported(t)
}

// TestServerStops begins an import while a server uses the empty store.
func TestServerStops(t *testing.T) {
	w := newWriter(t)
	serving, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- w.format().WhileKnown(t.Context(), func(ctx context.Context) error {
			close(serving)
			<-ctx.Done()
			return nil
		})
	}()
	<-serving
	if _, _, err := w.format().BeginImport(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if _, unfinished := errors.AsType[*format.UnfinishedImportError](err); !unfinished {
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the server goes on")
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, "wrote", 4)
	p.add(1)
	p.next, p.started = time.Time{}, time.Now().Add(-2*time.Second)
	p.add(1)
	if want := "wrote 2 of 4 objects, 2s left\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	out.Reset()
	p.bar, p.next = true, time.Time{}
	p.add(2)
	p.end()
	want := "\r[" + strings.Repeat("=", barWidth) + "] wrote 4 of 4 objects\x1b[K"
	if !strings.HasPrefix(out.String(), want) || !strings.HasSuffix(out.String(), "\n") {
		t.Errorf("got %q", out.String())
	}
}
