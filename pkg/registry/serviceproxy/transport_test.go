package serviceproxy

import (
	"net/http"
	"strings"
	"testing"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

func TestOnlyAddressesAreDialed(t *testing.T) {
	dial, err := utilnet.DialerFor(newTransport())
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"localhost:80", "example.com:80", "127.1:80", "0177.0.0.1:80", "2130706433:80", "127.0.0.1"} {
		if _, err := dial(t.Context(), "tcp", address); err == nil || !strings.Contains(err.Error(), "only addresses are dialed") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestNoProxyOfTheEnvironment(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	request, err := http.NewRequest(http.MethodGet, "http://10.1.2.3/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if proxy, err := newTransport().Proxy(request); err != nil || proxy != nil {
		t.Errorf("by way of %v, error %v", proxy, err)
	}
}
