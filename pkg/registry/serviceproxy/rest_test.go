package serviceproxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// getter returns the same object for every name.
type getter struct{ runtime.Object }

func (g getter) Get(context.Context, string, *metav1.GetOptions) (runtime.Object, error) {
	return g.Object, nil
}

type responder struct{ t *testing.T }

func (r responder) Object(int, runtime.Object) { r.t.Error("the proxy answers with an object") }
func (r responder) Error(err error)            { r.t.Errorf("the proxy answers with an error: %v", err) }

// TestConnect wants the transport to dial the addresses of Pods in the form that was
// checked. The connections end at a backend on loopback, because there is no Pod
// network.
func TestConnect(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprint(w, req.URL.RequestURI())
	}))
	t.Cleanup(backend.Close)
	asked := 0
	policy := &AddressPolicy{
		LocalAddresses: func() ([]netip.Addr, error) { return nil, nil },
		Pods:           cluster(&asked),
	}
	service := &v1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "web", Port: 80}}}}
	var dialed []string
	for _, ip := range []string{"10.1.2.3", "::ffff:10.1.2.3", "fd00:1:0:0::3"} {
		endpoints := &v1.Endpoints{Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: "127.0.0.1"}, ofPodNamed(ip, "default", "web"), {IP: "10.9.9.9"}},
			Ports:     []corev1.EndpointPort{{Name: "web", Port: 8080}},
		}}}
		proxy := NewREST(getter{service}, getter{endpoints}, policy)
		t.Cleanup(proxy.Destroy)
		proxy.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed = append(dialed, address)
			return new(net.Dialer).DialContext(ctx, network, backend.Listener.Addr().String())
		}
		ctx := request.WithNamespace(t.Context(), "default")
		handler, err := proxy.Connect(ctx, "px:80", &corev1.ServiceProxyOptions{Path: "/a/"}, responder{t})
		if err != nil {
			t.Errorf("%s: %v", ip, err)
			continue
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(ctx, http.MethodGet, "/proxy/a/?b=c", nil))
		if recorder.Code != http.StatusOK || recorder.Body.String() != "/a/?b=c" {
			t.Errorf("%s: %d %s", ip, recorder.Code, recorder.Body)
		}
	}
	if want := []string{"10.1.2.3:8080", "10.1.2.3:8080", "[fd00:1::3]:8080"}; !slices.Equal(dialed, want) {
		t.Errorf("dialed %v, want %v", dialed, want)
	}
}
