package storage

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage/etcd3"
	suite "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"
)

// switchable is a transformer that the suite can replace.
type switchable struct {
	current atomic.Pointer[value.Transformer]
}

func newSwitchable(t value.Transformer) *switchable {
	s := &switchable{}
	s.current.Store(&t)
	return s
}

func (s *switchable) get() value.Transformer { return *s.current.Load() }

func (s *switchable) exchange(next value.Transformer) (restore func()) {
	previous := s.current.Swap(&next)
	return func() { s.current.Store(previous) }
}

func (s *switchable) TransformFromStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, bool, error) {
	return s.get().TransformFromStorage(ctx, data, dataCtx)
}

func (s *switchable) TransformToStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, error) {
	return s.get().TransformToStorage(ctx, data, dataCtx)
}

// failing makes reads fail while fail is true.
type failing struct {
	value.Transformer
	runtime.Codec
	fail atomic.Bool
}

func (f *failing) TransformFromStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, bool, error) {
	if f.fail.Load() {
		return nil, false, errors.New("synthetic error")
	}
	return f.Transformer.TransformFromStorage(ctx, data, dataCtx)
}

func (f *failing) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind,
	error) {
	if f.fail.Load() {
		return nil, nil, errors.New("synthetic error")
	}
	return f.Codec.Decode(data, defaults, into)
}

func failingTransformer() *failing {
	return &failing{Transformer: suite.NewPrefixTransformer([]byte(valuePrefix), false)}
}

// corruptError returns the private error that the store recognizes.
func corruptError(t *testing.T) error {
	broken := &failing{}
	broken.fail.Store(true)
	_, _, err := etcd3.WithCorruptObjErrorHandlingTransformer(broken).TransformFromStorage(t.Context(), nil, value.DefaultContext("key"))
	if err == nil {
		t.Fatal("no error")
	}
	return err
}
