package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service"
)

// Contents is what a store holds at one revision. It can as well be filled from
// API lists, which then must be of one resource version.
type Contents struct {
	Services       []v1.Service
	IPAddresses    []v1.IPAddress
	NodePorts      []v1.NodePort
	ServiceCIDRs   []v1.ServiceCIDR
	NodePortRanges []v1.NodePortRange
	// Unreadable are the objects that are stored but are in none of the lists.
	Unreadable []Unreadable
	Revision   int64
}

// Unreadable is a stored value that could not be taken for the object that its
// key says it is.
type Unreadable struct {
	// Key is the value's key below the API group, e.g. "services/default/web".
	Key string
	// Reason goes on where the key ends, e.g. "can't be decoded: …".
	Reason string
	// Encryption is the provider of a value that is encrypted.
	Encryption string
}

// Report says what was checked and what is wrong.
type Report struct {
	Revision       int64 `json:"revision"`
	Services       int   `json:"services"`
	IPAddresses    int   `json:"ipAddresses"`
	NodePorts      int   `json:"nodePorts"`
	ServiceCIDRs   int   `json:"serviceCIDRs"`
	NodePortRanges int   `json:"nodePortRanges"`
	Unreadable     int   `json:"unreadable"`

	// AddressesHeld and PortsHeld are what the Services hold by their own
	// account.
	AddressesHeld int `json:"addressesHeld"`
	PortsHeld     int `json:"portsHeld"`
	// ReservedAddresses and ReservedPorts are the claims that no Service holds.
	ReservedAddresses int `json:"reservedAddresses"`
	ReservedPorts     int `json:"reservedPorts"`

	// Violations are sentences that each name the objects, sorted.
	Violations []string `json:"violations"`
	// Warnings are what is odd but allowed: a ServiceCIDR or NodePortRange can
	// be taken away by force under the values that are held from it, and those
	// stay claimed all the same.
	Warnings []string `json:"warnings"`
	// Repairs are what was done about violations, where that was asked for.
	Repairs []string `json:"repairs,omitempty"`
}

// Err is nil if there are no violations.
func (r Report) Err() error {
	switch n := len(r.Violations); n {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("1 violation: %s", r.Violations[0])
	default:
		return fmt.Errorf("%d violations, the first: %s", n, r.Violations[0])
	}
}

// Check checks every claim from both of its ends. A claim without a uid is a
// reservation and fine, unless a Service says that it holds the value. A
// Service that is being deleted holds what it has until it is gone. About
// objects that are unreadable nothing else is reported: what they would say is
// not known.
func Check(contents Contents) Report {
	c := newChecker(contents)
	c.checkUnreadable(contents.Unreadable)
	c.checkUIDs()
	ranges := c.newRanges(contents)
	for key, owner := range c.owners {
		c.checkOwner(key, owner, ranges)
	}
	c.checkHeldOnce()
	for _, cl := range c.claims {
		c.checkClaim(cl)
	}
	c.report.Violations = tidy(c.report.Violations)
	c.report.Warnings = tidy(c.report.Warnings)
	return c.report
}

// tidy never returns nil, which JSON would show as null.
func tidy(sentences []string) []string {
	slices.Sort(sentences)
	return append([]string{}, slices.Compact(sentences)...)
}

const (
	services    = "services"
	ipAddresses = "ipaddresses"
	nodePorts   = "nodeports"
)

// owner is a Service and what it holds: the key of each claim, with the
// protocols that it serves there.
type owner struct {
	service  *v1.Service
	uid      types.UID
	held     map[string]holding
	homeless bool
}

type claim struct {
	key string
	// version is the resource version.
	version   string
	parent    *v1.ParentReference
	protocols []corev1.Protocol
	isPort    bool
}

// checker keys everything by resource and name, as etcd does: it is the key
// that makes a claim exclusive, whatever the object under it says.
type checker struct {
	report     Report
	owners     map[string]owner
	claims     map[string]claim
	holders    map[string][]string
	unreadable map[string]bool
}

func newChecker(contents Contents) *checker {
	c := &checker{
		report: Report{
			Revision:       contents.Revision,
			Services:       len(contents.Services),
			IPAddresses:    len(contents.IPAddresses),
			NodePorts:      len(contents.NodePorts),
			ServiceCIDRs:   len(contents.ServiceCIDRs),
			NodePortRanges: len(contents.NodePortRanges),
			Unreadable:     len(contents.Unreadable),
		},
		owners:     make(map[string]owner, len(contents.Services)),
		claims:     make(map[string]claim, len(contents.IPAddresses)+len(contents.NodePorts)),
		holders:    map[string][]string{},
		unreadable: make(map[string]bool, len(contents.Unreadable)),
	}
	for i := range contents.Services {
		svc := &contents.Services[i]
		c.addOwner(keyOf(services, svc.Namespace, svc.Name), svc)
	}
	for i := range contents.IPAddresses {
		address := &contents.IPAddresses[i]
		key := keyOf(ipAddresses, "", address.Name)
		c.claims[key] = claim{key: key, version: address.ResourceVersion, parent: address.Spec.ParentRef}
	}
	for i := range contents.NodePorts {
		port := &contents.NodePorts[i]
		key := keyOf(nodePorts, "", port.Name)
		c.claims[key] = claim{key: key, version: port.ResourceVersion, parent: port.Spec.ParentRef, protocols: port.Spec.Protocols, isPort: true}
	}
	for _, value := range contents.Unreadable {
		c.unreadable[value.Key] = true
	}
	return c
}

func (c *checker) addOwner(key string, svc *v1.Service) {
	held := holdingsOf(svc)
	for claimKey, value := range held {
		c.holders[claimKey] = append(c.holders[claimKey], key)
		if value.isPort {
			c.report.PortsHeld++
		} else {
			c.report.AddressesHeld++
		}
	}
	homeless := service.NeedsClusterIP(svc) && len(service.ClusterIPs(svc)) == 0
	c.owners[key] = owner{service: svc, uid: svc.UID, held: held, homeless: homeless}
}

func (c *checker) violation(format string, args ...any) {
	c.report.Violations = append(c.report.Violations, fmt.Sprintf(format, args...))
}

func (c *checker) warning(format string, args ...any) {
	c.report.Warnings = append(c.report.Warnings, fmt.Sprintf(format, args...))
}

// checkUnreadable sums up what is encrypted: that is a whole resource at a
// time, and a million sentences would say no more.
func (c *checker) checkUnreadable(values []Unreadable) {
	type sealed struct{ resource, provider string }
	keys := map[sealed][]string{}
	for _, value := range values {
		if value.Encryption == "" {
			c.violation("%s %s", value.Key, value.Reason)
			continue
		}
		resource, _, _ := strings.Cut(value.Key, "/")
		kind := sealed{resource, value.Encryption}
		keys[kind] = append(keys[kind], value.Key)
	}
	for kind, sealed := range keys {
		c.violation("%s: encrypted with %s, so that verify can't read them and proves nothing about what they claim (%d, the first of them %s)",
			kind.resource, kind.provider, len(sealed), slices.Min(sealed))
	}
}

// checkUIDs makes sure that a uid in a claim can mean one Service only.
func (c *checker) checkUIDs() {
	known := make(map[types.UID]string, len(c.owners))
	for _, key := range slices.Sorted(maps.Keys(c.owners)) {
		uid := c.owners[key].uid
		switch other, taken := known[uid]; {
		case uid == "":
			c.violation("%s has no uid, so that no claim can be its own", key)
		case taken:
			c.violation("%s and %s have the same uid %s", other, key, uid)
		default:
			known[uid] = key
		}
	}
}

func (c *checker) checkOwner(key string, o owner, in ranges) {
	if o.homeless {
		c.warning("%s needs a cluster IP and has none", key)
	}
	for claimKey, value := range o.held {
		if !in.cover(value) {
			c.warning("%s holds %s, which lies in no %s", key, value.text, value.rangeKind())
		}
		if c.unreadable[claimKey] {
			continue
		}
		switch cl, found := c.claims[claimKey]; {
		case !found:
			c.violation("%s holds %s, but %s does not exist", key, value.text, claimKey)
		case cl.isReservation():
			c.violation("%s holds %s, but %s is a reservation, held by no Service", key, value.text, claimKey)
		case cl.parent.UID != o.uid || cl.holderKey() != key:
			c.violation("%s holds %s, but %s is held by %s", key, value.text, claimKey, cl.holder())
		}
	}
}

func (c *checker) checkHeldOnce() {
	for claimKey, keys := range c.holders {
		if len(keys) < 2 {
			continue
		}
		slices.Sort(keys)
		both := ""
		if len(keys) == 2 {
			both = "both "
		}
		last := len(keys) - 1
		c.violation("%s is held by %s%s and %s", c.owners[keys[0]].held[claimKey].text, both, strings.Join(keys[:last], ", "), keys[last])
	}
}

func (c *checker) checkClaim(cl claim) {
	if problem := nameProblem(cl); problem != "" {
		c.violation("%s %s", cl.key, problem)
		return
	}
	if cl.isReservation() {
		if cl.isPort {
			c.report.ReservedPorts++
		} else {
			c.report.ReservedAddresses++
		}
		return
	}
	if !cl.namesService() {
		c.violation("%s is held by %s, which is no Service", cl.key, cl.holder())
		return
	}
	key := cl.holderKey()
	if c.unreadable[key] {
		return
	}
	o, found := c.owners[key]
	value, held := o.held[cl.key]
	switch {
	case !found:
		c.violation("%s is held by %s, which does not exist", cl.key, cl.holder())
	case o.uid != cl.parent.UID:
		c.violation("%s is held by %s, which does not exist: the uid of %s is %s", cl.key, cl.holder(), key, o.uid)
	case !held:
		c.violation("%s is held by %s, which does not hold it", cl.key, cl.holder())
	case cl.isPort && !sameProtocols(cl.protocols, value.protocols):
		c.violation("%s is claimed for %s, but %s serves %s there", cl.key, protocolText(cl.protocols), key, protocolText(value.protocols))
	}
}
