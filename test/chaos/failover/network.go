package failover

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// passage is what happens to the data that one node sends to another.
type passage struct {
	// hole accepts connections and holds data back. When it ends, the data is
	// delivered, as by TCP.
	hole bool
	// refuse closes connections and refuses new ones.
	refuse bool
	// delay is added in each direction.
	delay time.Duration
}

// network has the names of replicas and members of etcd, and the passages
// between them.
type network struct {
	mu       sync.Mutex
	changed  chan struct{}
	passages map[[2]string]passage
	// names are the names of members by their etcd IDs.
	names map[string]string
}

func newNetwork() *network {
	return &network{changed: make(chan struct{}), passages: map[[2]string]passage{}, names: map[string]string{}}
}

// between sets the passage for connections that one node makes to another.
func (n *network) between(from, to string, p passage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.passages[[2]string{from, to}] = p
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *network) introduce(id, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[id] = name
}

// now returns the passage between two nodes, and a channel that is closed when
// it changes. From is a node's name or a member's ID.
func (n *network) now(from, to string) (passage, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name, known := n.names[from]; known {
		from = name
	}
	return n.passages[[2]string{from, to}], n.changed
}

// proxy forwards the connections of one node, or of any node, to another.
type proxy struct {
	address string

	network  *network
	from, to string
	target   string
	listener net.Listener
	done     chan struct{}
	running  sync.WaitGroup
}

// listen starts a proxy to a target. If from is empty, the source of a
// connection is read from its data, as members of etcd send it.
func (n *network) listen(t testing.TB, from, to, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{
		address: listener.Addr().String(), network: n, from: from, to: to, target: target, listener: listener, done: make(chan struct{}),
	}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		close(p.done)
		listener.Close()
		p.running.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(conn) })
	}
}

// link is one connection through a proxy.
type link struct {
	*proxy
	mu sync.Mutex
	// from is the source, empty until it is known.
	from string
	over chan struct{}
	once sync.Once
}

func (p *proxy) serve(conn net.Conn) {
	defer conn.Close()
	l := &link{proxy: p, from: p.from, over: make(chan struct{})}
	if !l.wait(false) {
		return
	}
	target, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer target.Close()
	var both sync.WaitGroup
	both.Go(func() { l.copy(target, conn, true) })
	both.Go(func() { l.copy(conn, target, false) })
	both.Go(func() {
		l.watch()
		conn.Close()
		target.Close()
	})
	both.Wait()
}

func (l *link) end() { l.once.Do(func() { close(l.over) }) }

func (l *link) source() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.from
}

// watch returns when the link must be closed.
func (l *link) watch() {
	for {
		p, changed := l.network.now(l.source(), l.to)
		if p.refuse {
			l.end()
			return
		}
		select {
		case <-changed:
		case <-l.over:
			return
		case <-l.done:
			l.end()
			return
		}
	}
}

// wait returns true when data may pass, after the delay if slow is set, and
// false if it never may.
func (l *link) wait(slow bool) bool {
	for {
		p, changed := l.network.now(l.source(), l.to)
		var later <-chan time.Time
		switch {
		case p.refuse:
			return false
		case p.hole:
		case p.delay == 0 || !slow:
			return true
		default:
			later = time.After(p.delay)
			changed = nil
		}
		select {
		case <-changed:
		case <-later:
			slow = false
		case <-l.over:
			return false
		case <-l.done:
			return false
		}
	}
}

func (l *link) copy(to io.Writer, from io.Reader, fromClient bool) {
	defer l.end()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if fromClient {
				l.identify(buffer[:n])
			}
			if !l.wait(true) {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// identify reads the source from a header that members of etcd send to each
// other.
func (l *link) identify(sent []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.from != "" {
		return
	}
	_, after, found := bytes.Cut(sent, []byte("X-Server-From: "))
	if !found {
		return
	}
	id, _, _ := bytes.Cut(after, []byte("\r\n"))
	l.from = string(id)
}
