package claims

import (
	"fmt"
	"slices"
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

// useStore is the store of a reflector of Services. It enters the addresses of load balancers
// into the index: another controller may have given a Service one that no claim records. Such
// an address goes to no other Service, even if a pool that has it is created later and the
// Service has not claimed it yet.
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
		s.index.SetUses(useOf(svc), usedBy(svc))
	}
	return err
}

func (s *useStore) Delete(obj any) error {
	svc, err := serviceOf(obj.(runtime.Object))
	if err == nil {
		s.forget(svc.UID)
	}
	return err
}

func (s *useStore) Replace(list []any, _ string) error {
	listed := map[types.UID]bool{}
	for _, obj := range list {
		svc, err := serviceOf(obj.(runtime.Object))
		if err != nil {
			return fmt.Errorf("listing Services: %w", err)
		}
		listed[svc.UID] = true
		s.index.SetUses(useOf(svc), usedBy(svc))
	}
	for _, gone := range slices.DeleteFunc(s.index.Users(), func(uid types.UID) bool { return listed[uid] }) {
		s.forget(gone)
	}
	s.synced.Store(true)
	return nil
}

func (s *useStore) forget(service types.UID) {
	s.index.SetUses(&allocation.Share{LoadBalancerIPHolder: v1.LoadBalancerIPHolder{UID: service}}, nil)
}

// useOf returns what a Service would hold of the addresses that it uses.
func useOf(svc *v1.Service) *allocation.Share {
	request, _ := loadbalancer.Parse(svc)
	return shareOf(svc, request)
}

func usedBy(svc *v1.Service) []allocation.Value {
	var values []allocation.Value
	for _, addr := range service.IngressAddresses(&svc.Status) {
		values = append(values, allocation.LoadBalancerAddress(addr))
	}
	return values
}
