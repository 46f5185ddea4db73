//go:build e2e && linux

package kubeproxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// device is that of a host, which leads to the node.
	device = "eth0"
	// port is what backends listen on.
	port = 8080
	// lastResort is the priority of a route that yields to others.
	lastResort = 2048
	// answerTimeout is how long an answer may take before it is none. Packets that
	// are dropped show in nothing else.
	answerTimeout = 2 * time.Second
)

// reachable is what hosts reach through the node: all that is set aside for
// documentation.
var reachable = []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"}

// host is a network namespace that a pair of devices connects to the node's.
type host struct {
	name string
	// addresses are one of each family, IPv4 first.
	addresses [2]netip.Addr
	// namespace is open as long as the test runs.
	namespace *os.File
}

// newHost makes a host. Near are the addresses of the node's end, far those of
// the host's.
func newHost(t *testing.T, name string, near, far [2]netip.Prefix) *host {
	t.Helper()
	h := &host{name: name, addresses: [2]netip.Addr{far[0].Addr(), far[1].Addr()}}
	err := apart(func() error {
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		h.namespace, err = currentNamespace()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.namespace.Close(); err != nil {
			t.Error(err)
		}
	})
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	pair := netlink.NewVeth(attributes)
	pair.PeerName, pair.PeerNamespace = device, netlink.NsFd(h.namespace.Fd())
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	// The kernel removes it some time after the namespace has gone: too late for the
	// next test.
	t.Cleanup(func() {
		if err := netlink.LinkDel(pair); err != nil {
			t.Error(err)
		}
	})
	if err := bringUp(name, near); err != nil {
		t.Fatal(err)
	}
	err = h.do(func() error {
		if err := errors.Join(bringUp("lo", [2]netip.Prefix{}), bringUp(device, far)); err != nil {
			return err
		}
		return routeThrough(device, near)
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// bringUp gives addresses to a device of the current namespace and brings it up.
func bringUp(name string, addresses [2]netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, prefix := range addresses {
		if !prefix.IsValid() {
			continue
		}
		address, err := netlink.ParseAddr(prefix.String())
		if err != nil {
			return err
		}
		if prefix.Addr().Is6() {
			// Nobody else has it.
			address.Flags = syscall.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, address); err != nil {
			return fmt.Errorf("adding %s to %s: %w", prefix, name, err)
		}
	}
	return nil
}

// newSelf is the node's own namespace as a host. What it has no better way to goes
// out of a device: a node without a route to a cluster IP would not even come to
// look at what kube-proxy says of it.
func newSelf(t *testing.T, out string) *host {
	t.Helper()
	namespace, err := currentNamespace()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := namespace.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := routeThrough(out, [2]netip.Prefix{}); err != nil {
		t.Fatal(err)
	}
	return &host{name: "the node", namespace: namespace}
}

// routeThrough leads what is reachable to a device, and to the gateways there, if
// there are any.
func routeThrough(device string, gateways [2]netip.Prefix) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	for _, destination := range reachable {
		to := netip.MustParsePrefix(destination)
		gateway := gateways[0].Addr()
		if to.Addr().Is6() {
			gateway = gateways[1].Addr()
		}
		route := &netlink.Route{
			LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice(), Priority: lastResort,
			Dst: &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), to.Addr().BitLen())},
		}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("the route to %s: %w", to, err)
		}
	}
	return nil
}

// do runs something in the host's namespace. Sockets that it opens stay there.
func (h *host) do(f func() error) error {
	return apart(func() error {
		if err := unix.Setns(int(h.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering the namespace of %s: %w", h.name, err)
		}
		return f()
	})
}

// apart runs something that may change the namespace of its thread, which ends
// with it.
func apart(f func() error) error {
	done := make(chan error)
	go func() {
		// A thread that is still locked when its goroutine ends is not used again.
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

func currentNamespace() (*os.File, error) { return os.Open("/proc/thread-self/ns/net") }

// serve answers over TCP and UDP with the name of the host and
// the address that the question came from.
func (h *host) serve(t *testing.T) {
	t.Helper()
	var listener net.Listener
	var packets net.PacketConn
	err := h.do(func() error {
		var errTCP, errUDP error
		listener, errTCP = net.Listen("tcp", ":"+strconv.Itoa(port))
		packets, errUDP = net.ListenPacket("udp", ":"+strconv.Itoa(port))
		return errors.Join(errTCP, errUDP)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(listener.Close(), packets.Close()); err != nil {
			t.Error(err)
		}
	})
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			h.reply(connection)
		}
	}()
	go func() {
		buffer := make([]byte, 64)
		for {
			_, from, err := packets.ReadFrom(buffer)
			if err == nil {
				_, err = packets.WriteTo([]byte(h.answer(from)), from)
			}
			// Any other error is a client's that has left.
			if errors.Is(err, net.ErrClosed) {
				return
			}
		}
	}()
}

// reply answers a connection.
func (h *host) reply(connection net.Conn) {
	defer connection.Close()
	// A client that has left needs no answer.
	if _, err := io.WriteString(connection, h.answer(connection.RemoteAddr())); err != nil {
		return
	}
}

func (h *host) answer(from net.Addr) string {
	address := netip.MustParseAddrPort(from.String()).Addr().Unmap()
	return h.name + " " + address.String()
}

// answer is what a backend said.
type answer struct {
	// name is the backend's.
	name string
	// from is the address that it saw.
	from netip.Addr
}

func (a answer) String() string { return fmt.Sprintf("%s, which saw %s", a.name, a.from) }

// ask opens a connection, or a socket for UDP, and returns the answer to it.
func (h *host) ask(network, address string) (answer, error) {
	connection, err := h.dial(network, address)
	if err != nil {
		return answer{}, err
	}
	defer connection.Close()
	return question(connection)
}

func (h *host) dial(network, address string) (connection net.Conn, err error) {
	err = h.do(func() error {
		connection, err = net.DialTimeout(network, address, answerTimeout)
		return err
	})
	return connection, err
}

// question asks once.
func question(connection net.Conn) (answer, error) {
	if err := connection.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return answer{}, err
	}
	buffer := make([]byte, 64)
	if strings.HasPrefix(connection.LocalAddr().Network(), "udp") {
		if _, err := connection.Write([]byte("who?")); err != nil {
			return answer{}, err
		}
	}
	n, err := connection.Read(buffer)
	if err != nil {
		return answer{}, err
	}
	name, from, _ := strings.Cut(string(buffer[:n]), " ")
	address, err := netip.ParseAddr(from)
	return answer{name: name, from: address}, err
}
