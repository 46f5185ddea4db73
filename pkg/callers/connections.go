// Package callers bounds what callers may cost before the server knows them: how
// many connections they hold and for how long, how large the line and the headers
// of their requests are, and what they make the server log.
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

// Connections are a listener that limits connections on which nobody has been
// authenticated yet. It closes those that stay so for too long, whatever they do
// meanwhile: an unfinished handshake, slow headers, a slow body, nothing at all.
// If there are too many, it closes the oldest: who is known soon is not kept out.
type Connections struct {
	net.Listener
	most    int
	timeout time.Duration
	now     func() time.Time

	mu sync.Mutex
	// unknown has the connections by age, the oldest first.
	unknown *list.List
	// byAddress has the same by the address of the client.
	byAddress map[string]*connection
	begin     sync.Once
	end       sync.Once
	done      chan struct{}
}

// connection is one that is open.
type connection struct {
	net.Conn
	address  string
	accepted time.Time
	of       *Connections
	// element is its place by age, nil once it isn't limited any more.
	element *list.Element
}

// NewConnections limits the connections of a listener until it is closed.
func NewConnections(listener net.Listener, most int, timeout time.Duration) *Connections {
	return &Connections{
		Listener: listener, most: most, timeout: timeout, now: time.Now,
		unknown: list.New(), byAddress: map[string]*connection{}, done: make(chan struct{}),
	}
}

// Accept waits for a connection, and makes place for it.
func (c *Connections) Accept() (net.Conn, error) {
	c.begin.Do(func() { go c.run() })
	inner, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	accepted := &connection{Conn: inner, address: inner.RemoteAddr().String(), accepted: c.now(), of: c}
	c.mu.Lock()
	var crowded []*connection
	for c.unknown.Len() >= c.most {
		conn := c.oldest()
		c.remove(conn)
		crowded = append(crowded, conn)
	}
	accepted.element = c.unknown.PushBack(accepted)
	c.byAddress[accepted.address] = accepted
	c.mu.Unlock()
	closeAll(crowded)
	return accepted, nil
}

// Close closes the listener and leaves the connections.
func (c *Connections) Close() error {
	c.end.Do(func() { close(c.done) })
	return c.Listener.Close()
}

// Known says that somebody was authenticated on the connection of an address: it
// is not limited any more.
func (c *Connections) Known(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.byAddress[address]; ok {
		c.remove(known)
	}
}

// Read reads. A client who is not known and resets the connection has ended it:
// the framework logs the one and not the other.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, syscall.ECONNRESET) && c.of.limits(c) {
		return n, io.EOF
	}
	return n, err
}

// Close closes the connection.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.of.remove(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// limits says whether a connection is one of those that are limited.
func (c *Connections) limits(conn *connection) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return conn.element != nil
}

// remove takes a connection out of those that are limited, if it is one. The lock
// is held.
func (c *Connections) remove(conn *connection) {
	if conn.element == nil {
		return
	}
	c.unknown.Remove(conn.element)
	conn.element = nil
	// A client may have the address again before the server has closed its end.
	if c.byAddress[conn.address] == conn {
		delete(c.byAddress, conn.address)
	}
}

// oldest is the oldest of those that are limited, nil if there are none. The lock
// is held.
func (c *Connections) oldest() *connection {
	if front := c.unknown.Front(); front != nil {
		return front.Value.(*connection)
	}
	return nil
}

// run closes connections when their time is over.
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
