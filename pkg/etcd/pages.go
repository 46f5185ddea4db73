package etcd

import (
	"context"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver"
	etcdtxn "go.etcd.io/etcd/server/v3/etcdserver/txn"
	"k8s.io/utils/lru"
)

// rememberedPages is how many lists in pages can be read at once without a second count.
const rememberedPages = 1000

// pages is the KV of an embedded etcd that reads ranges in pages at a cost that depends on
// the page only. For each page, etcd counts all keys that are left in the range: a list of
// 1,000,000 Services in pages of 500 does not end before its revision is compacted.
//
// At a revision, the keys of a range do not change. The number of keys left after a page is
// the number before it, minus those on the page. So only the first page of a list that is
// read from etcd must count.
type pages struct {
	clientv3.KV
	member *etcdserver.EtcdServer
	// left has the number of keys from where a next page starts, by pageStart. Its revisions
	// are never 0, which stands for the current one.
	left *lru.Cache
}

// pageStart is where a page starts in a range that is read at a revision.
type pageStart struct {
	key, end string
	revision int64
}

func newPages(kv clientv3.KV, member *etcdserver.EtcdServer) *pages {
	return &pages{KV: kv, member: member, left: lru.New(rememberedPages)}
}

// Get implements clientv3.KV.
func (p *pages) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	op := clientv3.OpGet(key, opts...)
	if !isPage(op) {
		return p.KV.Get(ctx, key, opts...)
	}
	page, ok := p.read(ctx, op)
	if !ok {
		var err error
		if page, err = p.KV.Get(ctx, key, opts...); err != nil {
			return nil, err
		}
	}
	p.remember(op, page)
	return page, nil
}

// isPage reports whether an operation reads the first keys of a range with their values.
func isPage(op clientv3.Op) bool {
	return op.Limit() > 0 && len(op.RangeBytes()) > 0 && !op.IsSortSet() && !op.IsKeysOnly() && !op.IsCountOnly() &&
		op.MinModRev() == 0 && op.MaxModRev() == 0 && op.MinCreateRev() == 0 && op.MaxCreateRev() == 0
}

// read reads a page without a count. ok is false if it is not known how many keys are left,
// or if the page can't be read, and etcd has to say why. The member has applied the revision
// of a page before it, so nothing needs to be agreed upon.
func (p *pages) read(ctx context.Context, op clientv3.Op) (page *clientv3.GetResponse, ok bool) {
	left, known := p.left.Get(pageStart{string(op.KeyBytes()), string(op.RangeBytes()), op.Rev()})
	if !known {
		return nil, false
	}
	request := &etcdserverpb.RangeRequest{Key: op.KeyBytes(), RangeEnd: op.RangeBytes(), Revision: op.Rev(), Limit: op.Limit()}
	response, _, err := etcdtxn.Range(ctx, p.member.Logger(), p.member.KV(), request, false)
	if err != nil {
		return nil, false
	}
	response.Count = left.(int64)
	return (*clientv3.GetResponse)(response), true
}

// remember records how many keys are left after a page.
func (p *pages) remember(op clientv3.Op, page *clientv3.GetResponse) {
	if !page.More || len(page.Kvs) == 0 {
		return
	}
	revision := op.Rev()
	if revision == 0 {
		revision = page.Header.Revision
	}
	next := string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	p.left.Add(pageStart{next, string(op.RangeBytes()), revision}, page.Count-int64(len(page.Kvs)))
}
