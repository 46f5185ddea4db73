package v1_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/randfill"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// FuzzDefaults fills objects at random and checks that defaults are idempotent, because
// every read from the store applies them again.
func FuzzDefaults(f *testing.F) {
	scheme := newScheme()
	for _, seed := range []string{"", "a", "\x00\x01\x02\x03\x04\x05\x06\x07", "0123456789abcdef0123456789abcdef0123456789abcdef"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, obj := range []runtime.Object{
			&v1.Service{}, &v1.Endpoints{}, &v1.EndpointSlice{}, &v1.ServiceCIDR{}, &v1.IPAddress{}, &v1.NodePortRange{}, &v1.NodePort{},
			&v1.LoadBalancerPool{}, &v1.LoadBalancerIP{}, &v1.ClaimQuota{},
			&v1.ServiceList{}, &v1.EndpointsList{}, &v1.EndpointSliceList{}, &v1.NodePortRangeList{},
		} {
			randfill.NewFromGoFuzz(data).NilChance(0.3).NumElements(0, 4).MaxDepth(20).Fill(obj)
			scheme.Default(obj)
			again := obj.DeepCopyObject()
			scheme.Default(again)
			if !equality.Semantic.DeepEqual(obj, again) {
				t.Errorf("%#v\ngets other defaults the second time:\n%#v", obj, again)
			}
		}
	})
}
