package failover

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo runs a server that sends back every line.
func echo(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := io.Copy(conn, conn); err != nil {
					return
				}
			}()
		}
	}()
	return listener.Addr().String()
}

type caller struct {
	net.Conn
	lines *bufio.Reader
}

func dial(t *testing.T, address string) *caller {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &caller{conn, bufio.NewReader(conn)}
}

func (c *caller) say(t *testing.T, line string) {
	t.Helper()
	if _, err := fmt.Fprint(c, line+"\r\n"); err != nil {
		t.Fatal(err)
	}
}

// hear waits for a line, up to a limit.
func (c *caller) hear(t *testing.T, within time.Duration) (string, error) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	return c.lines.ReadString('\n')
}

const soon, ample = 50 * time.Millisecond, 30 * time.Second

func TestNetwork(t *testing.T) {
	t.Parallel()
	n := newNetwork()
	p := n.listen(t, "a", "b", echo(t))
	c := dial(t, p.address)
	say := func(line string) {
		t.Helper()
		c.say(t, line)
		if got, err := c.hear(t, ample); got != line+"\r\n" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	say("1")

	n.between("b", "a", passage{hole: true})
	say("2")

	n.between("a", "b", passage{hole: true})
	c.say(t, "3")
	if got, err := c.hear(t, soon); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a hole let %q through, error %v", got, err)
	}
	fresh := dial(t, p.address)
	fresh.say(t, "4")
	if got, err := fresh.hear(t, soon); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a hole let %q through, error %v", got, err)
	}
	n.between("a", "b", passage{delay: time.Millisecond})
	if got, err := c.hear(t, ample); got != "3\r\n" {
		t.Fatalf("after the hole: %q, %v", got, err)
	}
	if got, err := fresh.hear(t, ample); got != "4\r\n" {
		t.Fatalf("after the hole: %q, %v", got, err)
	}

	began := time.Now()
	n.between("a", "b", passage{delay: soon})
	say("5")
	if took := time.Since(began); took < 2*soon {
		t.Errorf("there and back took %v", took)
	}

	n.between("a", "b", passage{refuse: true})
	if got, err := c.hear(t, ample); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is still there: %q, %v", got, err)
	}
	if got, err := dial(t, p.address).hear(t, ample); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection was made: %q, %v", got, err)
	}
	n.between("a", "b", passage{})
	c = dial(t, p.address)
	say("6")
}

// TestNetworkIdentifies names members while connections between them are open.
func TestNetworkIdentifies(t *testing.T) {
	t.Parallel()
	n := newNetwork()
	p := n.listen(t, "", "b", echo(t))
	callers := map[string]*caller{}
	for _, id := range []string{"abc", "def"} {
		c := dial(t, p.address)
		c.say(t, "X-Server-From: "+id)
		if got, err := c.hear(t, ample); err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		callers[id] = c
	}
	n.introduce("abc", "a")
	n.introduce("def", "d")
	n.between("a", "b", passage{hole: true})
	for id, wait := range map[string]time.Duration{"abc": soon, "def": ample} {
		callers[id].say(t, "more")
		if _, err := callers[id].hear(t, wait); (id == "def") != (err == nil) {
			t.Errorf("%s: %v", id, err)
		}
	}
	n.between("a", "b", passage{refuse: true})
	if got, err := callers["abc"].hear(t, ample); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is still there: %q, %v", got, err)
	}
}
