package serviceproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/endpoints/request"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// echo answers an upgrade, and then with what it is sent.
func echo(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	_, _ = io.Copy(conn, buffered)
}

// TestUpgradeEnds expects the stream of an upgraded request to end with the context of the
// request.
func TestUpgradeEnds(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(backend.Close)
	asked := 0
	policy := &AddressPolicy{LocalAddresses: func() ([]netip.Addr, error) { return nil, nil }, Pods: cluster(&asked)}
	service := &v1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "web", Port: 80}}}}
	endpoints := &v1.Endpoints{Subsets: []corev1.EndpointSubset{{
		Addresses: []corev1.EndpointAddress{ofPodNamed("10.1.2.3", "default", "web")},
		Ports:     []corev1.EndpointPort{{Name: "web", Port: 8080}},
	}}}
	proxy := NewREST(getter{service}, getter{endpoints}, policy)
	t.Cleanup(proxy.Destroy)
	proxy.transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, backend.Listener.Addr().String())
	}
	ctx, cancel := context.WithCancel(request.WithNamespace(t.Context(), "default"))
	defer cancel()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		handler, err := proxy.Connect(ctx, "px:80", &corev1.ServiceProxyOptions{}, responder{t})
		if err != nil {
			t.Error(err)
			return
		}
		handler.ServeHTTP(w, req.WithContext(ctx))
	}))
	t.Cleanup(front.Close)

	conn, err := net.DialTimeout("tcp", front.Listener.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: px\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", answer, err)
	}
	_ = answer.Body.Close()
	fmt.Fprint(conn, "hello\n")
	if line, err := reader.ReadString('\n'); line != "hello\n" {
		t.Fatalf("%q, %v", line, err)
	}
	cancel()
	if _, err := reader.ReadByte(); err != io.EOF {
		t.Errorf("the stream ends with %v", err)
	}
}
