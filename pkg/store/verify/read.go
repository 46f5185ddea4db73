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
	// pageSize limits how many objects etcd returns at once. A page is in memory
	// twice while it is decoded.
	pageSize = 1000
	// progressStep is how many objects lie between two lines of progress. A store
	// that takes less than a second prints none.
	progressStep = 50_000
)

// Read reads the objects to check from a store, all at one revision. The prefix is
// the server's --etcd-prefix.
func Read(ctx context.Context, client *clientv3.Client, prefix string) (Contents, error) {
	return Reader{Client: client, Prefix: prefix}.Read(ctx)
}

// Reader reads a store.
type Reader struct {
	Client *clientv3.Client
	// Prefix is the server's --etcd-prefix.
	Prefix string
	// Decrypt decrypts a value of a resource. If it is nil, encrypted values are
	// reported as unreadable.
	Decrypt func(ctx context.Context, resource string, kv *mvccpb.KeyValue) ([]byte, error)
	// Progress receives progress lines for large stores. It may be nil.
	Progress io.Writer
}

// Read reads the store at its current revision. It drops managed fields, which
// claim nothing and are the largest part of many objects. It fails if etcd fails
// or compacts the revision meanwhile.
func (r Reader) Read(ctx context.Context) (Contents, error) {
	p := &pass{Reader: r, decoder: newDecoder()}
	for _, read := range []func() error{
		func() error { return readAll(ctx, p, services, &p.contents.Services) },
		func() error { return readAll(ctx, p, ipAddresses, &p.contents.IPAddresses) },
		func() error { return readAll(ctx, p, nodePorts, &p.contents.NodePorts) },
		func() error { return readAll(ctx, p, "servicecidrs", &p.contents.ServiceCIDRs) },
		func() error { return readAll(ctx, p, "nodeportranges", &p.contents.NodePortRanges) },
		func() error { return readAll(ctx, p, loadBalancerIPs, &p.contents.LoadBalancerIPs) },
		func() error { return readAll(ctx, p, "loadbalancerpools", &p.contents.LoadBalancerPools) },
		func() error { return p.readListings(ctx) },
		func() error { return readAll(ctx, p, "claimquotas", &p.contents.ClaimQuotas) },
		func() error { return p.readPermits(ctx) },
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

// pass is one read of a store.
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
		// The decoder would return an object without a name.
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
			p.reject(Unreadable{Key: key, Reason: fmt.Sprintf("is the key of an object that calls itself %s", own)})
			return
		}
		object.SetManagedFields(nil)
		object.SetResourceVersion(strconv.FormatInt(kv.ModRevision, 10))
		*into = append(*into, *object)
	})
}

// rootOf returns the prefix of the keys of portolan.dev's objects.
func rootOf(prefix string) string { return path.Join("/", prefix, v1.GroupName) + "/" }

// scan calls visit for each key with a prefix. The first scan sets the revision at
// which the others read.
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

// decrypt returns a value that can be decoded, and reports whether there is one.
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

// encryption returns the provider that encrypted a value, or "" if none did.
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
