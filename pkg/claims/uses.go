package claims

import (
	"fmt"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/service"
	"github.com/portolan-dev/portolan/pkg/service/loadbalancer"
	"github.com/portolan-dev/portolan/pkg/storage/source"
)

// useStore is the store of a reflector of load balancers. It enters the addresses into the
// index that another controller has given to Services and that they do not claim. No other
// Service gets such an address, unless the two can share it, even if a pool that has it is
// created later and the Service has not claimed it yet.
type useStore struct {
	index  *allocation.Index
	synced atomic.Bool
}

var _ cache.ReflectorStore = &useStore{}

// loadBalancersOf selects the load balancers among Services.
func loadBalancersOf(services source.Source) source.Source {
	return source.Select(services, fields.OneTermEqualSelector("spec.type", string(corev1.ServiceTypeLoadBalancer)))
}

func (s *useStore) Add(obj any) error { return s.Update(obj) }
func (s *useStore) Resync() error     { return nil }

func (s *useStore) Update(obj any) error {
	svc, err := serviceOf(obj.(runtime.Object))
	if err == nil {
		enterUses(s.index, svc)
	}
	return err
}

func (s *useStore) Delete(obj any) error {
	svc, err := serviceOf(obj.(runtime.Object))
	if err == nil {
		forgetUses(s.index, nameOfService(svc))
	}
	return err
}

func (s *useStore) Replace(list []any, _ string) error {
	listed := map[types.NamespacedName]bool{}
	for _, obj := range list {
		svc, err := serviceOf(obj.(runtime.Object))
		if err != nil {
			return fmt.Errorf("listing Services: %w", err)
		}
		listed[nameOfService(svc)] = true
		enterUses(s.index, svc)
	}
	for _, user := range s.index.AllUsers() {
		if !listed[user] {
			forgetUses(s.index, user)
		}
	}
	s.synced.Store(true)
	return nil
}

// enterUses enters what a Service uses now and does not claim.
func enterUses(index *allocation.Index, svc *v1.Service) {
	var values []allocation.Value
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer {
		for _, addr := range service.UnclaimedAddresses(svc) {
			values = append(values, allocation.LoadBalancerAddress(addr))
		}
	}
	request, _ := loadbalancer.Parse(svc)
	index.SetUses(shareOf(svc, request), values)
}

func forgetUses(index *allocation.Index, user types.NamespacedName) {
	index.SetUses(&allocation.Share{LoadBalancerIPHolder: v1.LoadBalancerIPHolder{Namespace: user.Namespace, Name: user.Name}}, nil)
}
