//go:build e2e

package replay

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// ground is what two servers share: ranges that are alike, and who may name
// what in them. Each range has a band that automatic picks come to last
// (KEP-3070, KEP-3668): values that sequences name are from there, so that none
// is ever picked for another.
type ground struct {
	v4, v6 netip.Prefix
	// firstPort and lastPort are the ends of the node ports.
	firstPort, lastPort int
	// band4, band6 and bandPorts are how many values of each are in its band.
	band4, band6, bandPorts int
	workers                 int
}

const (
	// reserved are the first values of each band: the address of
	// default/kubernetes and what the fixed objects hold.
	reserved = 4
	// own is how many values of each kind a sequence may name, and turns how
	// many sequences come before one names the same again: upstream leaks an
	// address now and then.
	own = 4
)

// dualStack has enough of everything.
var dualStack = ground{
	v4: netip.MustParsePrefix("10.96.0.0/16"), v6: netip.MustParsePrefix("fd00:10:96::/112"),
	firstPort: 30000, lastPort: 32767, band4: 256, band6: 256, bandPorts: 86, workers: 8,
}

// singleStack has one family, and little of it.
var singleStack = ground{
	v4: netip.MustParsePrefix("10.97.0.0/27"), firstPort: 31000, lastPort: 31039,
	band4: 16, bandPorts: 16, workers: 2,
}

func (g *ground) cidrs() []string {
	if !g.v6.IsValid() {
		return []string{g.v4.String()}
	}
	return []string{g.v4.String(), g.v6.String()}
}

func (g *ground) portRange() string { return fmt.Sprintf("%d-%d", g.firstPort, g.lastPort) }

// usableAddresses is how many IPv4 addresses Services can have.
func (g *ground) usableAddresses() int { return 1<<(32-g.v4.Bits()) - 2 }

func (g *ground) ports() int { return g.lastPort - g.firstPort + 1 }

// named fills in the values that a worker's sequence of this number may name.
// The same four are a worker's again after some others.
func (g *ground) named(worker, turn int) map[string]string {
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
		// A family that the servers don't have.
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

// chosenAddress says whether an address is one that the server picks.
func (g *ground) chosenAddress(addr netip.Addr) bool {
	switch {
	case g.v4.Contains(addr):
		return addr.Compare(netip.MustParseAddr(nth(g.v4, g.band4))) > 0
	case g.v6.IsValid() && g.v6.Contains(addr):
		return addr.Compare(netip.MustParseAddr(nth(g.v6, g.band6))) > 0
	}
	return false
}

// chosenPort says whether a node port is one that the server picks.
func (g *ground) chosenPort(port int) bool {
	return port >= g.firstPort+g.bandPorts && port <= g.lastPort
}

// network says whether an address is a range's first, which nobody can have.
func (g *ground) network(addr netip.Addr) bool {
	return addr == g.v4.Addr() || g.v6.IsValid() && addr == g.v6.Addr()
}

// nth is the address n after a prefix's first.
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

// numeric are the names of numbers.
var numeric = regexp.MustCompile(`(?i)port|health`)

// fill puts values into a text in the place of their names in braces, and
// numbers in the place of those in quotes as well.
func fill(text string, values map[string]string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	var pairs []string
	// A name in quotes must be found before the name.
	for name, value := range values {
		if numeric.MatchString(name) {
			pairs = append(pairs, `"{`+name+`}"`, value)
		}
	}
	for name, value := range values {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
