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

// Contents holds the objects of a store at one revision. It can also be filled from
// API lists of one resource version.
type Contents struct {
	Services       []v1.Service
	IPAddresses    []v1.IPAddress
	NodePorts      []v1.NodePort
	ServiceCIDRs   []v1.ServiceCIDR
	NodePortRanges []v1.NodePortRange
	// LoadBalancerIPs and LoadBalancerPools are empty in most stores.
	LoadBalancerIPs   []v1.LoadBalancerIP
	LoadBalancerPools []v1.LoadBalancerPool
	// Listings are the keys of the claims that are listed as reserved for each Service, by
	// its namespace and name. They are nil if they have not been read.
	Listings map[string][]string
	// ClaimQuotas are empty in most stores, as are Limits, the limits that are enforced in each
	// namespace, by its name and that of the ClaimQuota, and Permits, by their keys.
	ClaimQuotas []v1.ClaimQuota
	Limits      map[string]map[string]map[string]int64
	Permits     map[string]Permit
	// Unreadable holds the stored objects that are in none of the lists.
	Unreadable []Unreadable
	Revision   int64
}

// Unreadable is a stored value that can't be read as the object that its key names.
type Unreadable struct {
	// Key is the value's key below the API group, e.g. "services/default/web".
	Key string
	// Reason completes a sentence that begins with the key, e.g. "can't be decoded: …".
	Reason string
	// Encryption names the provider that encrypted the value. It is empty if the
	// value is not encrypted.
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
	// LoadBalancerIPs and LoadBalancerPools are left out if there are none.
	LoadBalancerIPs   int `json:"loadBalancerIPs,omitempty"`
	LoadBalancerPools int `json:"loadBalancerPools,omitempty"`
	// ClaimQuotas is left out if there are none.
	ClaimQuotas int `json:"claimQuotas,omitempty"`
	Unreadable  int `json:"unreadable"`

	// AddressesHeld and PortsHeld count the values in the Services themselves.
	AddressesHeld int `json:"addressesHeld"`
	PortsHeld     int `json:"portsHeld"`
	// LoadBalancerAddressesHeld counts an address once for each Service that holds it.
	LoadBalancerAddressesHeld int `json:"loadBalancerAddressesHeld,omitempty"`
	// ReservedAddresses and ReservedPorts count the claims that no Service holds.
	ReservedAddresses int `json:"reservedAddresses"`
	ReservedPorts     int `json:"reservedPorts"`
	// ReservedLoadBalancerAddresses counts the LoadBalancerIPs that no Service holds.
	ReservedLoadBalancerAddresses int `json:"reservedLoadBalancerAddresses,omitempty"`

	// Violations is sorted. Each sentence names the objects.
	Violations []string `json:"violations"`
	// Warnings lists what is odd but allowed. For example, a ServiceCIDR or
	// NodePortRange can be deleted by force while its values are held; they stay
	// claimed.
	Warnings []string `json:"warnings"`
	// Repairs lists what was planned or done, if repairs were requested.
	Repairs []string `json:"repairs,omitempty"`
}

// Err returns an error if there are violations.
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

// Check compares every Service with its claims, and every claim with its Service. A
// claim without a uid is a reservation, which is a violation only if a Service holds
// the value. A Service that is being deleted holds its values until it is gone.
// About an unreadable object Check reports only that.
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
	c.loadBalancers.check(c)
	c.checkListings(contents.Listings)
	c.checkLimits(contents)
	c.checkPermits(contents)
	c.report.Violations = tidy(c.report.Violations)
	c.report.Warnings = tidy(c.report.Warnings)
	return c.report
}

// tidy sorts sentences and removes duplicates. It never returns nil, which would be
// null in JSON.
func tidy(sentences []string) []string {
	slices.Sort(sentences)
	return append([]string{}, slices.Compact(sentences)...)
}

const (
	services    = "services"
	ipAddresses = "ipaddresses"
	nodePorts   = "nodeports"
)

// owner is a Service and the values that it holds.
type owner struct {
	service *v1.Service
	uid     types.UID
	// held is keyed by the keys of the claims.
	held           map[string]holding
	lacksClusterIP bool
}

type claim struct {
	key string
	// version is the claim's resource version.
	version   string
	parent    *v1.ParentReference
	protocols []corev1.Protocol
	isPort    bool
}

// checker keys everything by resource and name, as etcd does. The key makes a claim
// exclusive, whatever name its object has.
type checker struct {
	report     Report
	owners     map[string]owner
	claims     map[string]claim
	holders    map[string][]string
	unreadable map[string]bool

	loadBalancers loadBalancers
}

func newChecker(contents Contents) *checker {
	c := &checker{
		report: Report{
			Revision:        contents.Revision,
			Services:        len(contents.Services),
			IPAddresses:     len(contents.IPAddresses),
			NodePorts:       len(contents.NodePorts),
			ServiceCIDRs:    len(contents.ServiceCIDRs),
			NodePortRanges:  len(contents.NodePortRanges),
			LoadBalancerIPs: len(contents.LoadBalancerIPs), LoadBalancerPools: len(contents.LoadBalancerPools),
			ClaimQuotas: len(contents.ClaimQuotas),
			Unreadable:  len(contents.Unreadable),
		},
		owners:     make(map[string]owner, len(contents.Services)),
		claims:     make(map[string]claim, len(contents.IPAddresses)+len(contents.NodePorts)),
		holders:    map[string][]string{},
		unreadable: make(map[string]bool, len(contents.Unreadable)),

		loadBalancers: newLoadBalancers(contents),
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
	lacksClusterIP := service.NeedsClusterIP(svc) && len(service.ClusterIPs(svc)) == 0
	c.owners[key] = owner{service: svc, uid: svc.UID, held: held, lacksClusterIP: lacksClusterIP}
}

func (c *checker) violation(format string, args ...any) {
	c.report.Violations = append(c.report.Violations, fmt.Sprintf(format, args...))
}

func (c *checker) warning(format string, args ...any) {
	c.report.Warnings = append(c.report.Warnings, fmt.Sprintf(format, args...))
}

// checkUnreadable reports encrypted values in one sentence per resource and
// provider, because a whole resource is encrypted at a time.
func (c *checker) checkUnreadable(values []Unreadable) {
	type encrypted struct{ resource, provider string }
	keys := map[encrypted][]string{}
	for _, value := range values {
		if value.Encryption == "" {
			c.violation("%s %s", value.Key, value.Reason)
			continue
		}
		resource, _, _ := strings.Cut(value.Key, "/")
		group := encrypted{resource, value.Encryption}
		keys[group] = append(keys[group], value.Key)
	}
	for group, keys := range keys {
		c.violation("%s: encrypted with %s, so verify can't read them and proves nothing about their claims (%d objects, the first is %s)",
			group.resource, group.provider, len(keys), slices.Min(keys))
	}
}

// checkUIDs checks that no two Services have the same uid, so that the uid in a
// claim identifies its Service.
func (c *checker) checkUIDs() {
	known := make(map[types.UID]string, len(c.owners))
	for _, key := range slices.Sorted(maps.Keys(c.owners)) {
		uid := c.owners[key].uid
		switch other, taken := known[uid]; {
		case uid == "":
			c.violation("%s has no uid, so no claim can belong to it", key)
		case taken:
			c.violation("%s and %s have the same uid %s", other, key, uid)
		default:
			known[uid] = key
		}
	}
}

func (c *checker) checkOwner(key string, o owner, in ranges) {
	if o.lacksClusterIP {
		c.warning("%s needs a cluster IP and has none", key)
	}
	// The values of a copy lie in the ranges of its cluster.
	mirrored := v1.IsMirrored(o.service)
	for claimKey, value := range o.held {
		if !mirrored && !in.contain(value) {
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
		c.violation("%s is held by %s, which is not a Service", cl.key, cl.holder())
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
