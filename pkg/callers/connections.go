// Package callers bounds what callers cost before they are authenticated: how many
// connections they hold and for how long, how large the URLs and headers of their requests
// are, and what the server logs because of them.
package callers

import (
	"container/list"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Connections is a listener that limits unauthenticated connections: those on which no
// caller has been authenticated yet. It closes connections that stay unauthenticated for
// too long, whether in the handshake, in a slow request or idle. If there are too many, it
// closes the oldest one, so that callers that authenticate soon are not kept out.
type Connections struct {
	net.Listener
	most    int
	timeout time.Duration
	now     func() time.Time

	mu sync.Mutex
	// unauthenticated has the connections by age, the oldest first.
	unauthenticated *list.List
	// byAddress has the same connections by the address of the client.
	byAddress map[string]*connection
	begin     sync.Once
	end       sync.Once
	done      chan struct{}
}

// connection is an open connection.
type connection struct {
	net.Conn
	address  string
	accepted time.Time
	of       *Connections
	// element is its place in unauthenticated. It is nil once the connection is not
	// limited anymore.
	element *list.Element
}

// NewConnections returns a listener that limits the connections of another until it is
// closed.
func NewConnections(listener net.Listener, most int, timeout time.Duration) *Connections {
	return &Connections{
		Listener: listener, most: most, timeout: timeout, now: time.Now,
		unauthenticated: list.New(), byAddress: map[string]*connection{}, done: make(chan struct{}),
	}
}

// Accept implements net.Listener. It closes the oldest connections if there are too many.
func (c *Connections) Accept() (net.Conn, error) {
	c.begin.Do(func() { go c.run() })
	inner, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	accepted := &connection{Conn: inner, address: inner.RemoteAddr().String(), accepted: c.now(), of: c}
	c.mu.Lock()
	var crowded []*connection
	for c.unauthenticated.Len() >= c.most {
		conn := c.oldest()
		c.remove(conn)
		crowded = append(crowded, conn)
	}
	accepted.element = c.unauthenticated.PushBack(accepted)
	c.byAddress[accepted.address] = accepted
	c.mu.Unlock()
	closeAll(crowded)
	return accepted, nil
}

// Close implements net.Listener. It leaves the connections open.
func (c *Connections) Close() error {
	c.end.Do(func() { close(c.done) })
	return c.Listener.Close()
}

// Authenticated stops limiting the connection from an address.
func (c *Connections) Authenticated(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn, ok := c.byAddress[address]; ok {
		c.remove(conn)
	}
}

// Read implements net.Conn. It returns io.EOF if an unauthenticated client resets the
// connection, since the framework would log the reset.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, syscall.ECONNRESET) && c.of.limits(c) {
		return n, io.EOF
	}
	return n, err
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.of.remove(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// limits reports whether a connection is limited.
func (c *Connections) limits(conn *connection) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return conn.element != nil
}

// remove stops limiting a connection. The caller holds the lock.
func (c *Connections) remove(conn *connection) {
	if conn.element == nil {
		return
	}
	c.unauthenticated.Remove(conn.element)
	conn.element = nil
	// Another connection may have the address already, before this one is closed here.
	if c.byAddress[conn.address] == conn {
		delete(c.byAddress, conn.address)
	}
}

// oldest returns the oldest limited connection, or nil. The caller holds the lock.
func (c *Connections) oldest() *connection {
	if front := c.unauthenticated.Front(); front != nil {
		return front.Value.(*connection)
	}
	return nil
}

// run closes connections whose time is over.
func (c *Connections) run() {
	ticker := time.NewTicker(min(c.timeout/4, time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-ticker.C:
			closeAll(c.expired())
		}
	}
}

func (c *Connections) expired() (expired []*connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := c.oldest(); conn != nil && c.now().Sub(conn.accepted) >= c.timeout; conn = c.oldest() {
		c.remove(conn)
		expired = append(expired, conn)
	}
	return expired
}

func closeAll(connections []*connection) {
	for _, conn := range connections {
		_ = conn.Conn.Close()
	}
}
