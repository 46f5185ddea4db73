//go:build e2e

package dns

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// largeAnswer is the size in bytes of the answers that are taken over UDP.
	largeAnswer = 4096
	answerTime  = 5 * time.Second
)

var kinds = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "SRV": dnsmessage.TypeSRV, "CNAME": dnsmessage.TypeCNAME,
	"PTR": dnsmessage.TypePTR, "TXT": dnsmessage.TypeTXT, "SOA": dnsmessage.TypeSOA,
}

// question is a name without the dot at its end, and a type.
type question struct{ name, kind string }

func (q question) String() string { return q.name + " " + q.kind }

// answer is what a server says, as text that can be compared and read.
type answer struct {
	code string
	// records are the answer's, each as "name TYPE data", and sorted.
	records []string
	// all is that with the time to live and the other sections, which have no
	// order of their own either.
	all string
}

// ask sends a question to a server.
func ask(ctx context.Context, server string, q question) (answer, error) {
	name, err := dnsmessage.NewName(q.name + ".")
	if err != nil {
		return answer{}, err
	}
	id := uint16(rand.Uint32())
	query := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: kinds[q.kind], Class: dnsmessage.ClassINET}},
	}
	option := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(".")}, Body: &dnsmessage.OPTResource{}}
	if err := option.Header.SetEDNS0(largeAnswer, dnsmessage.RCodeSuccess, false); err != nil {
		return answer{}, err
	}
	query.Additionals = append(query.Additionals, option)
	packed, err := query.Pack()
	if err != nil {
		return answer{}, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", server)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return answer{}, err
	}
	if _, err := conn.Write(packed); err != nil {
		return answer{}, err
	}
	buffer := make([]byte, largeAnswer)
	n, err := conn.Read(buffer)
	if err != nil {
		return answer{}, err
	}
	var message dnsmessage.Message
	if err := message.Unpack(buffer[:n]); err != nil {
		return answer{}, err
	}
	if message.ID != id || !message.Response || message.Truncated {
		return answer{}, fmt.Errorf("%v is no whole answer to %v", message.Header, q)
	}
	return read(&message), nil
}

func read(message *dnsmessage.Message) answer {
	a := answer{code: strings.TrimPrefix(message.RCode.String(), "RCode")}
	sections := []string{fmt.Sprintf("%s, authoritative %v", a.code, message.Authoritative)}
	for _, section := range []struct {
		name      string
		resources []dnsmessage.Resource
	}{{"answer", message.Answers}, {"authority", message.Authorities}, {"additional", message.Additionals}} {
		lines := make([]string, 0, len(section.resources))
		for _, resource := range section.resources {
			if resource.Header.Type == dnsmessage.TypeOPT {
				continue
			}
			text := record(resource)
			if section.name == "answer" {
				a.records = append(a.records, text)
			}
			// How long others' names may be kept depends on when they were asked for.
			if strings.HasSuffix(resource.Header.Name.String(), domain+".") {
				text = fmt.Sprintf("%s, for %d s", text, resource.Header.TTL)
			}
			lines = append(lines, "  "+text)
		}
		slices.Sort(lines)
		sections = append(append(sections, section.name), lines...)
	}
	slices.Sort(a.records)
	a.all = strings.Join(sections, "\n")
	return a
}

// record is a resource as text. The serial of a zone is when it last changed, and
// so left out.
func record(resource dnsmessage.Resource) string {
	var kind, data string
	switch body := resource.Body.(type) {
	case *dnsmessage.AResource:
		kind, data = "A", netip.AddrFrom4(body.A).String()
	case *dnsmessage.AAAAResource:
		kind, data = "AAAA", netip.AddrFrom16(body.AAAA).String()
	case *dnsmessage.SRVResource:
		kind, data = "SRV", fmt.Sprintf("%d %d %d %s", body.Priority, body.Weight, body.Port, bare(body.Target))
	case *dnsmessage.CNAMEResource:
		kind, data = "CNAME", bare(body.CNAME)
	case *dnsmessage.PTRResource:
		kind, data = "PTR", bare(body.PTR)
	case *dnsmessage.TXTResource:
		kind, data = "TXT", strings.Join(body.TXT, " ")
	case *dnsmessage.SOAResource:
		kind, data = "SOA", fmt.Sprintf("%s %s %d %d %d %d", bare(body.NS), bare(body.MBox), body.Refresh, body.Retry, body.Expire, body.MinTTL)
	default:
		kind, data = "other", fmt.Sprint(body)
	}
	return bare(resource.Header.Name) + " " + kind + " " + data
}

func bare(name dnsmessage.Name) string { return strings.TrimSuffix(name.String(), ".") }

// reverse is the name that stands for an address.
func reverse(address string) string {
	ip := netip.MustParseAddr(address)
	var labels []string
	if ip.Is4() {
		for _, b := range ip.AsSlice() {
			labels = append(labels, fmt.Sprint(b))
		}
		labels = append([]string{"arpa", "in-addr"}, labels...)
	} else {
		for _, b := range ip.AsSlice() {
			labels = append(labels, fmt.Sprintf("%x", b>>4), fmt.Sprintf("%x", b&15))
		}
		labels = append([]string{"arpa", "ip6"}, labels...)
	}
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}

// elsewhere is the address of every name outside the domain.
const elsewhere = "192.0.2.53"

// startResolver answers for the rest of the world until the test ends, and
// returns where it does.
func startResolver(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, largeAnswer)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			reply := outside(buffer[:n])
			if reply == nil {
				continue
			}
			if _, err := conn.WriteTo(reply, from); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return conn.LocalAddr().String()
}

// outside returns the answer to a query, nil if it is not one.
func outside(query []byte) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil
	}
	asked, err := parser.Question()
	if err != nil {
		return nil
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{asked},
	}
	switch asked.Type {
	case dnsmessage.TypeA:
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: asked.Name, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(elsewhere).As4()},
		}}
	case dnsmessage.TypePTR:
		reply.RCode = dnsmessage.RCodeNameError
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	return packed
}
