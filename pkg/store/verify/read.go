package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const (
	// One page is one answer of etcd, held in memory twice while it is decoded.
	pageSize = 1000
	// progressStep keeps stores that are read within a second silent.
	progressStep = 50_000
)

// Read reads what is checked from a store, all of it at one revision. The
// prefix is that of the server's --etcd-prefix.
func Read(ctx context.Context, client *clientv3.Client, prefix string) (Contents, error) {
	return Reader{Client: client, Prefix: prefix}.Read(ctx)
}

// Reader reads a store.
type Reader struct {
	Client *clientv3.Client
	// Prefix is that of the server's --etcd-prefix.
	Prefix string
	// Decrypt returns a value of a resource as it was before it was encrypted. If
	// it is nil, encrypted values are not read.
	Decrypt func(ctx context.Context, resource string, kv *mvccpb.KeyValue) ([]byte, error)
	// Progress is told about large stores, if it isn't nil.
	Progress io.Writer
}

// Read reads the store at the revision it has when Read begins. Managed fields,
// which are most of many objects and claim nothing, are dropped.
func (r Reader) Read(ctx context.Context) (Contents, error) {
	p := &pass{Reader: r, decoder: newDecoder()}
	for _, read := range []func() error{
		func() error { return readAll(ctx, p, services, &p.contents.Services) },
		func() error { return readAll(ctx, p, ipAddresses, &p.contents.IPAddresses) },
		func() error { return readAll(ctx, p, nodePorts, &p.contents.NodePorts) },
		func() error { return readAll(ctx, p, "servicecidrs", &p.contents.ServiceCIDRs) },
		func() error { return readAll(ctx, p, "nodeportranges", &p.contents.NodePortRanges) },
	} {
		if err := read(); err != nil {
			return Contents{}, err
		}
	}
	return p.contents, nil
}

func newDecoder() runtime.Decoder {
	scheme := runtime.NewScheme()
	utilruntime.Must(v1.AddToScheme(scheme))
	return serializer.NewCodecFactory(scheme).UniversalDecoder(v1.SchemeGroupVersion)
}

// pass is one pass through a store.
type pass struct {
	Reader
	decoder  runtime.Decoder
	contents Contents
	objects  int
}

func readAll[T any, P interface {
	*T
	metav1.Object
	runtime.Object
}](ctx context.Context, p *pass, resource string, into *[]T) error {
	root := rootOf(p.Prefix)
	return p.scan(ctx, root+resource+"/", func(kv *mvccpb.KeyValue) {
		key := strings.TrimPrefix(string(kv.Key), root)
		value, readable := p.decrypt(ctx, resource, kv)
		if !readable {
			p.reject(Unreadable{Key: key, Encryption: encryption(kv.Value)})
			return
		}
		// The decoder takes it for an object that has no name.
		if len(value) == 0 {
			p.reject(Unreadable{Key: key, Reason: "is stored without a value"})
			return
		}
		object := P(new(T))
		if _, _, err := p.decoder.Decode(value, nil, object); err != nil {
			p.reject(Unreadable{Key: key, Reason: fmt.Sprintf("can't be decoded: %v", err)})
			return
		}
		if own := keyOf(resource, object.GetNamespace(), object.GetName()); own != key {
			p.reject(Unreadable{Key: key, Reason: fmt.Sprintf("is the key of an object that says it is %s", own)})
			return
		}
		object.SetManagedFields(nil)
		object.SetResourceVersion(strconv.FormatInt(kv.ModRevision, 10))
		*into = append(*into, *object)
	})
}

// rootOf is what the keys of portolan.dev's objects begin with.
func rootOf(prefix string) string { return path.Join("/", prefix, v1.GroupName) + "/" }

// scan calls visit for each key that has a prefix. The first call settles the
// revision that the others read at.
func (p *pass) scan(ctx context.Context, prefix string, visit func(*mvccpb.KeyValue)) error {
	end := clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix))
	for from := prefix; ; {
		page, err := p.Client.Get(ctx, from, end, clientv3.WithLimit(pageSize), clientv3.WithRev(p.contents.Revision))
		if errors.Is(err, rpctypes.ErrCompacted) {
			return fmt.Errorf("revision %d was compacted while %s was being read: try again", p.contents.Revision, prefix)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", prefix, err)
		}
		if p.contents.Revision == 0 {
			p.contents.Revision = page.Header.Revision
		}
		for _, kv := range page.Kvs {
			visit(kv)
			p.count()
		}
		if !page.More || len(page.Kvs) == 0 {
			return nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

func (p *pass) reject(value Unreadable) {
	p.contents.Unreadable = append(p.contents.Unreadable, value)
}

func (p *pass) count() {
	p.objects++
	if p.Progress != nil && p.objects%progressStep == 0 {
		fmt.Fprintf(p.Progress, "read %d objects\n", p.objects)
	}
}

// decrypt returns a value that can be decoded, if there is one to be had.
func (p *pass) decrypt(ctx context.Context, resource string, kv *mvccpb.KeyValue) (value []byte, readable bool) {
	if encryption(kv.Value) == "" {
		return kv.Value, true
	}
	if p.Decrypt == nil {
		return nil, false
	}
	value, err := p.Decrypt(ctx, resource, kv)
	return value, err == nil
}

// encryption names the provider that a value was encrypted by, if it was.
func encryption(value []byte) string {
	sealed, ok := bytes.CutPrefix(value, []byte("k8s:enc:"))
	if !ok {
		return ""
	}
	provider, _, _ := bytes.Cut(sealed, []byte(":"))
	if len(provider) == 0 || len(provider) > 32 {
		return "an unknown provider"
	}
	return string(provider)
}
