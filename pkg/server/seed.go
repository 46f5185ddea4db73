package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry"
)

const cachePollPeriod = 10 * time.Millisecond

// Seeds are the first ranges of a store.
type Seeds struct {
	CIDRs, Ports []string
	// CIDRsFromFlag and PortsFromFlag are true if flags set the ranges.
	CIDRsFromFlag, PortsFromFlag bool
}

// EnsureDefaultRanges creates the first ServiceCIDR and the first NodePortRange if the
// store has none. If it has some, it logs a warning about flags that differ from them.
func (s Seeds) EnsureDefaultRanges(ctx context.Context, storage *registry.Storage) error {
	ctx = apirequest.WithNamespace(ctx, metav1.NamespaceNone)
	cidrStore, rangeStore := storage.Store(v1.Resource("servicecidrs")), storage.Store(v1.Resource("nodeportranges"))
	cidrs, err := list[*v1.ServiceCIDRList](ctx, cidrStore)
	if err != nil {
		return err
	}
	if len(cidrs.Items) == 0 {
		cidr := &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: v1.DefaultRangeName}, Spec: v1.ServiceCIDRSpec{CIDRs: s.CIDRs}}
		if err := create(ctx, cidrStore, cidr); err != nil {
			return fmt.Errorf("seeding the first ServiceCIDR: %w", err)
		}
	}
	stored := map[string][]string{}
	for _, cidr := range cidrs.Items {
		stored[cidr.Name] = cidr.Spec.CIDRs
	}
	warnIfIgnored(s.CIDRsFromFlag, "--service-cluster-ip-range", s.CIDRs, "ServiceCIDR", stored)

	ranges, err := list[*v1.NodePortRangeList](ctx, rangeStore)
	if err != nil {
		return err
	}
	if len(ranges.Items) == 0 {
		ports := &v1.NodePortRange{
			ObjectMeta: metav1.ObjectMeta{Name: v1.DefaultRangeName},
			Spec:       v1.NodePortRangeSpec{Ports: s.Ports, AutoAssign: ptr.To(true)},
		}
		if err := create(ctx, rangeStore, ports); err != nil {
			return fmt.Errorf("seeding the first NodePortRange: %w", err)
		}
	}
	stored = map[string][]string{}
	for _, ports := range ranges.Items {
		stored[ports.Name] = ports.Spec.Ports
	}
	warnIfIgnored(s.PortsFromFlag, "--service-node-port-range", s.Ports, "NodePortRange", stored)
	return nil
}

// warnIfIgnored logs a warning about a flag that has no effect, because the store has other
// ranges.
func warnIfIgnored(named bool, flag string, value []string, kind string, stored map[string][]string) {
	if !named || len(stored) == 0 {
		return
	}
	var described []string
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		if slices.Equal(stored[name], value) {
			return
		}
		described = append(described, fmt.Sprintf("%s (%s)", name, strings.Join(stored[name], ",")))
	}
	klog.Warningf("%s=%s has no effect: the store has ranges already, and these rule: %s %s. "+
		"To change them, use kubectl create, edit and delete %s.%s",
		flag, strings.Join(value, ","), kind, strings.Join(described, ", "), strings.ToLower(kind), v1.GroupName)
}

// list retries while the watch cache is being filled.
func list[L runtime.Object](ctx context.Context, lister rest.Lister) (found L, err error) {
	err = wait.PollUntilContextCancel(ctx, cachePollPeriod, true, func(ctx context.Context) (bool, error) {
		obj, err := lister.List(ctx, &metainternalversion.ListOptions{})
		if apierrors.IsTooManyRequests(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		found = obj.(L)
		return true, nil
	})
	return found, err
}

// create accepts that another replica has created the object already.
func create(ctx context.Context, creater rest.Creater, obj runtime.Object) error {
	_, err := creater.Create(ctx, obj, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
