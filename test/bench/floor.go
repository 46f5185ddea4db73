package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned/scheme"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// floor is what etcd alone commits: the transaction that Portolan sends, with
// the bytes that Portolan stores, and nothing around it. It goes to the etcd
// that kube-apiserver is run on, over a network connection; Portolan's own
// reaches its embedded etcd with none, so it may come closer than seems
// possible.
type floor struct {
	process   *upstream.Process
	clients   []*clientv3.Client
	templates map[string]template
	// ranges are the revisions of what stands for the ServiceCIDR and the
	// NodePortRange: each new claim relies on one.
	ranges map[string]int64
	// written holds what each Service was written with, for its deletion.
	written sync.Map
}

// template is what a Service of a kind is stored as.
type template struct {
	object []byte
	claims []claim
}

type claim struct {
	resource, ranges string
	value            []byte
}

type entry struct {
	revision int64
	kind     string
}

const (
	keyPrefix      = "/registry/portolan.dev/"
	addressRanges  = keyPrefix + "servicecidrs/kubernetes"
	portRanges     = keyPrefix + "nodeportranges/kubernetes"
	floorDialLimit = 10 * time.Second
)

// newFloor learns from Portolan what it stores.
func newFloor(ctx context.Context, process *upstream.Process, url string, connections int, portolan *apiServer) (*floor, error) {
	f := &floor{process: process, templates: map[string]template{}, ranges: map[string]int64{}}
	for range connections {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, DialTimeout: floorDialLimit, Logger: zap.NewNop()})
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		f.clients = append(f.clients, client)
	}
	for _, kind := range kinds {
		svc, claims, err := portolan.stored(ctx, kind)
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		if f.templates[kind], err = newTemplate(svc, claims); err != nil {
			return nil, errors.Join(err, f.close())
		}
	}
	for _, key := range []string{addressRanges, portRanges} {
		response, err := f.clients[0].Put(ctx, key, "range")
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		f.ranges[key] = response.Header.Revision
	}
	return f, nil
}

func newTemplate(svc *v1.Service, claims []runtime.Object) (template, error) {
	encoder := scheme.Codecs.EncoderForVersion(protobuf.NewSerializer(scheme.Scheme, scheme.Scheme), v1.SchemeGroupVersion)
	object, err := runtime.Encode(encoder, svc)
	if err != nil {
		return template{}, err
	}
	t := template{object: object}
	for _, obj := range claims {
		value, err := runtime.Encode(encoder, obj)
		if err != nil {
			return template{}, err
		}
		c := claim{resource: "ipaddresses/", ranges: addressRanges, value: value}
		if _, port := obj.(*v1.NodePort); port {
			c.resource, c.ranges = "nodeports/", portRanges
		}
		t.claims = append(t.claims, c)
	}
	return t, nil
}

func (f *floor) close() error {
	var errs []error
	for _, client := range f.clients {
		errs = append(errs, client.Close())
	}
	return errors.Join(errs...)
}

func (f *floor) name() string { return floorName }

func (f *floor) usage() (upstream.Usage, error) { return f.process.Usage() }

func serviceKey(service string) string { return keyPrefix + "services/" + namespace + "/" + service }

func claimKey(c claim, service string) string { return keyPrefix + c.resource + service }

func (f *floor) create(ctx context.Context, worker int, kind, service string) error {
	t := f.templates[kind]
	key := serviceKey(service)
	compares := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", 0)}
	reads := []clientv3.Op{clientv3.OpGet(key)}
	writes := []clientv3.Op{clientv3.OpPut(key, string(t.object))}
	for _, c := range t.claims {
		key := claimKey(c, service)
		compares = append(compares,
			clientv3.Compare(clientv3.ModRevision(c.ranges), "=", f.ranges[c.ranges]),
			clientv3.Compare(clientv3.ModRevision(key), "=", 0))
		reads = append(reads, clientv3.OpGet(c.ranges), clientv3.OpGet(key))
		writes = append(writes, clientv3.OpPut(key, string(c.value)))
	}
	revision, err := f.commit(ctx, worker, compares, writes, reads)
	if err == nil {
		f.written.Store(service, entry{revision, kind})
	}
	return err
}

func (f *floor) delete(ctx context.Context, worker int, service string) error {
	value, ok := f.written.LoadAndDelete(service)
	if !ok {
		return fmt.Errorf("%s was not created", service)
	}
	e := value.(entry)
	keys := []string{serviceKey(service)}
	for _, c := range f.templates[e.kind].claims {
		keys = append(keys, claimKey(c, service))
	}
	var compares []clientv3.Cmp
	var writes, reads []clientv3.Op
	for _, key := range keys {
		compares = append(compares, clientv3.Compare(clientv3.ModRevision(key), "=", e.revision))
		reads = append(reads, clientv3.OpGet(key))
		writes = append(writes, clientv3.OpDelete(key))
	}
	_, err := f.commit(ctx, worker, compares, writes, reads)
	return err
}

func (f *floor) commit(ctx context.Context, worker int, compares []clientv3.Cmp, writes, reads []clientv3.Op) (int64, error) {
	client := f.clients[worker%len(f.clients)]
	response, err := client.Txn(ctx).If(compares...).Then(writes...).Else(reads...).Commit()
	if err != nil {
		return 0, err
	}
	if !response.Succeeded {
		return 0, errors.New("etcd refused a transaction that nothing stood in the way of")
	}
	return response.Header.Revision, nil
}
