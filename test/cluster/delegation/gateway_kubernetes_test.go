//go:build e2e

package delegation

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// servingFiles writes a serving certificate that the cluster's authority signs.
func (g *ground) servingFiles(hosts ...string) (certFile, keyFile string) {
	g.t.Helper()
	template := x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, host := range append(hosts, "127.0.0.1") {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	pair, err := g.users.Issue(template, time.Now(), time.Hour)
	g.must(err)
	cert, key, err := pair.Encode()
	g.must(err)
	dir := g.t.TempDir()
	certFile, keyFile = filepath.Join(dir, "serving.crt"), filepath.Join(dir, "serving.key")
	g.write(certFile, append(cert, certificates.EncodeCerts(g.users.Cert)...))
	g.write(keyFile, key)
	return certFile, keyFile
}

// podClient makes a client as in a Pod, whose packets to a cluster IP arrive at a server.
func (g *ground) podClient(host string, server *framework.Server) *http.Client {
	g.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(g.users.Cert)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: host}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(server.Config.Host, "https://"))
		},
	}
	g.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: timeout}
}

// TestGatewayKubernetesService has the Service kubernetes lead to two replicas, where
// clients in Pods trust the certificate. A third replica has one of its own.
func TestGatewayKubernetesService(t *testing.T) {
	g := newGround(t)
	store := framework.StartEtcd(t)
	logs := framework.CaptureLogs(t, 0)
	replica := func(address string, hosts ...string) *framework.Server {
		return g.serve(func(o *options.Options) {
			yes := true
			framework.On(store)(o)
			o.ServeCore, o.KubernetesService, o.WithControllers = &yes, &yes, false
			o.Run.AdvertiseAddress = net.ParseIP(address)
			if len(hosts) > 0 {
				o.SecureServing.ServerCert.CertKey.CertFile, o.SecureServing.ServerCert.CertKey.KeyFile = g.servingFiles(hosts...)
			}
		})
	}
	names := []string{"10.96.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	first, second := replica("192.0.2.1", names...), replica("192.0.2.2", names...)
	g.bind("cluster-admin", account("default", "root"))
	client, err := kubernetes.NewForConfig(first.As(&rest.Config{BearerToken: g.token("default", "root")}))
	g.must(err)
	expect := func(servers ...*framework.Server) {
		t.Helper()
		var want []string
		for _, server := range servers {
			want = append(want, server.Options.Run.AdvertiseAddress.String())
		}
		framework.Eventually(t, "endpoints "+strings.Join(want, " "), func(ctx context.Context) (bool, error) {
			options := metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=kubernetes"}
			slices, err := client.DiscoveryV1().EndpointSlices("default").List(ctx, options)
			var got []string
			for _, slice := range slices.Items {
				for _, endpoint := range slice.Endpoints {
					got = append(got, endpoint.Addresses...)
				}
			}
			return sameSet(got, want), err
		})
	}
	expect(first, second)
	service, err := client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	g.must(err)
	if service.Spec.ClusterIP != names[0] {
		t.Errorf("the Service has the address %s", service.Spec.ClusterIP)
	}
	for _, host := range names {
		for _, path := range []string{"/api", "/api/v1/namespaces/default/services/kubernetes"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+path, nil)
			g.must(err)
			request.Header.Set("Authorization", "Bearer "+g.token("default", "root"))
			response, err := g.podClient(host, second).Do(request)
			if err != nil {
				t.Errorf("%s: %v", host, err)
				continue
			}
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("%s%s: %s", host, path, response.Status)
			}
		}
	}
	const warning = "Clients in Pods will not trust this server"
	if strings.Contains(logs.String(), warning) {
		t.Errorf("a good certificate is warned of: %s", logs.String())
	}
	g.must(second.Stop())
	expect(first)
	third := replica("192.0.2.3")
	expect(first, third)
	framework.Eventually(t, "a warning", func(context.Context) (bool, error) {
		return strings.Contains(logs.String(), "the cluster's authority has not signed the serving certificate"), nil
	})
	if strings.Contains(logs.String(), "certificate is not for") {
		t.Error("the certificate that the server makes lacks names")
	}
	own, err := g.client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	g.must(err)
	if own.UID == service.UID {
		t.Error("it is kube-apiserver's Service")
	}
}

// TestGatewayKubernetesServiceTaken has the address taken: the event about it is the
// cluster's.
func TestGatewayKubernetesServiceTaken(t *testing.T) {
	g := newGround(t)
	store := framework.StartEtcd(t)
	serve := func(keep bool) *framework.Server {
		return g.serve(func(o *options.Options) {
			yes := true
			framework.On(store)(o)
			o.ServeCore, o.KubernetesService, o.WithControllers = &yes, &keep, false
			o.Run.AdvertiseAddress = net.IPv4(192, 0, 2, 1)
		})
	}
	before := serve(false)
	g.bind("cluster-admin", account("default", "root"))
	client, err := kubernetes.NewForConfig(before.As(&rest.Config{BearerToken: g.token("default", "root")}))
	g.must(err)
	_, err = client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "squatter"},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.1", Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	g.must(err)
	serve(true)
	framework.Eventually(t, "an event", func(ctx context.Context) (bool, error) {
		events, err := g.client.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "reason=ServiceNotKept"})
		return err == nil && len(events.Items) == 1 && strings.Contains(events.Items[0].Message, "10.96.0.1"), err
	})
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
