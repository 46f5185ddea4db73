//go:build e2e

package replay

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// plan divides the ranges of both servers, which are alike, among the workers.
// Each range has a static band, which automatic picks use last (KEP-3070,
// KEP-3668). Sequences name only values of the band, so that no such value is
// ever picked.
type plan struct {
	v4, v6 netip.Prefix
	// firstPort and lastPort are the first and the last node port.
	firstPort, lastPort int
	// band4, band6 and bandPorts are the sizes of the static bands.
	band4, band6, bandPorts int
	workers                 int
}

const (
	// reserved is how many values at the start of each band are not for
	// sequences: the address of default/kubernetes, and what the fixed objects
	// hold.
	reserved = 4
	// own is how many values of each kind a sequence may name. The next
	// sequence of a worker names others, because upstream leaks an address now
	// and then.
	own = 4
)

// dualStack has plenty of everything.
var dualStack = plan{
	v4: netip.MustParsePrefix("10.96.0.0/16"), v6: netip.MustParsePrefix("fd00:10:96::/112"),
	firstPort: 30000, lastPort: 32767, band4: 256, band6: 256, bandPorts: 86, workers: 8,
}

// singleStack has one family, and small ranges.
var singleStack = plan{
	v4: netip.MustParsePrefix("10.97.0.0/27"), firstPort: 31000, lastPort: 31039,
	band4: 16, bandPorts: 16, workers: 2,
}

func (g *plan) cidrs() []string {
	if !g.v6.IsValid() {
		return []string{g.v4.String()}
	}
	return []string{g.v4.String(), g.v6.String()}
}

func (g *plan) portRange() string { return fmt.Sprintf("%d-%d", g.firstPort, g.lastPort) }

// usableAddresses is the number of IPv4 addresses that Services can have.
func (g *plan) usableAddresses() int { return 1<<(32-g.v4.Bits()) - 2 }

func (g *plan) ports() int { return g.lastPort - g.firstPort + 1 }

// named returns the values that a sequence may name, by the worker and the
// number of its sequences before. After some sequences a worker names the same
// values again.
func (g *plan) named(worker, turn int) map[string]string {
	slot := func(band int) int {
		each := max(band-reserved, 0) / g.workers
		return reserved + worker*each + turn%max(each/own, 1)*own
	}
	values := map[string]string{
		"ns": fmt.Sprintf("w%d", worker), "worker": strconv.Itoa(worker),
		"taken4": nth(g.v4, 2), "reserved4": nth(g.v4, 3),
		"takenport": strconv.Itoa(g.firstPort + 1), "takenhealth": strconv.Itoa(g.firstPort + 2),
		"firstport": strconv.Itoa(g.firstPort), "lastport": strconv.Itoa(g.lastPort),
		"portabove": strconv.Itoa(g.lastPort + 1),
		"cidr4":     fmt.Sprintf("172.20.%d.0/24", 2*worker), "cidr4b": fmt.Sprintf("172.20.%d.0/24", 2*worker+1),
		"cidr6": fmt.Sprintf("fd00:20:%d::/112", worker+1), "inside4": fmt.Sprintf("172.20.%d.9", 2*worker),
		"tinycidr4": fmt.Sprintf("172.21.%d.4/31", worker), "tiny4": fmt.Sprintf("172.21.%d.5", worker),
		"network4": g.v4.Addr().String(), "outside4": "10.200.0.7", "outside6": "fd00:99::7",
	}
	six := g.v6
	if !six.IsValid() {
		// A family that the servers do not serve.
		six = dualStack.v6
	}
	values["taken6"], values["reserved6"], values["network6"] = nth(six, 2), nth(six, 3), six.Addr().String()
	band6 := max(g.band6, g.band4)
	for i, suffix := range []string{"", "b", "c", "d"} {
		values["free4"+suffix] = nth(g.v4, slot(g.band4)+i)
		values["free6"+suffix] = nth(six, slot(band6)+i)
		values["port"+strconv.Itoa(i)] = strconv.Itoa(g.firstPort + slot(g.bandPorts) + i)
	}
	return values
}

// chosenAddress reports whether the server picks an address automatically.
func (g *plan) chosenAddress(addr netip.Addr) bool {
	switch {
	case g.v4.Contains(addr):
		return addr.Compare(netip.MustParseAddr(nth(g.v4, g.band4))) > 0
	case g.v6.IsValid() && g.v6.Contains(addr):
		return addr.Compare(netip.MustParseAddr(nth(g.v6, g.band6))) > 0
	}
	return false
}

// chosenPort reports whether the server picks a node port automatically.
func (g *plan) chosenPort(port int) bool {
	return port >= g.firstPort+g.bandPorts && port <= g.lastPort
}

// network reports whether an address is the first of a range, which no Service
// can have.
func (g *plan) network(addr netip.Addr) bool {
	return addr == g.v4.Addr() || g.v6.IsValid() && addr == g.v6.Addr()
}

// nth returns the address n after a prefix's first.
func nth(prefix netip.Prefix, n int) string {
	bytes := prefix.Addr().AsSlice()
	for i := len(bytes) - 1; n > 0; i-- {
		n += int(bytes[i])
		bytes[i] = byte(n)
		n >>= 8
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr.String()
}

// numeric matches names of numbers.
var numeric = regexp.MustCompile(`(?i)port|health`)

// fill replaces names in braces with values. Names of numbers are replaced
// together with the quotes around them.
func fill(text string, values map[string]string) string {
	var filled strings.Builder
	for {
		before, after, found := strings.Cut(text, "{")
		if !found {
			filled.WriteString(text)
			return filled.String()
		}
		name, rest, _ := strings.Cut(after, "}")
		value, known := values[name]
		if !known {
			filled.WriteString(before + "{")
			text = after
			continue
		}
		if numeric.MatchString(name) && strings.HasSuffix(before, `"`) && strings.HasPrefix(rest, `"`) {
			before, rest = strings.TrimSuffix(before, `"`), strings.TrimPrefix(rest, `"`)
		}
		filled.WriteString(before + value)
		text = rest
	}
}
