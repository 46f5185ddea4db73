//go:build e2e

package replay

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/portolan-dev/portolan/test/framework"
)

// mask makes the answers of one server, in the course of one sequence,
// comparable with the other server's. A value that the server chooses is
// replaced with a name, numbered by first appearance: an address that stays
// keeps its name, a new one gets the next name.
type mask struct {
	plan *plan
	// core says that both servers get requests for the same groups.
	core   bool
	names  map[string]string
	values map[string]string
	counts map[string]int
}

func newMask(g *plan, core bool) *mask {
	return &mask{plan: g, core: core, names: map[string]string{}, values: map[string]string{}, counts: map[string]int{}}
}

// masking masks one answer.
type masking struct {
	*mask
	// dry says that values are not allocated, so they get no names. Values that
	// upstream makes up are told apart from values that could be allocated.
	dry bool
}

// Names of values in the answer to a dry run.
const (
	dryValue  = "DRY"
	fakeValue = "FAKE"
)

var (
	uids      = regexp.MustCompile(framework.UIDs)
	times     = regexp.MustCompile(framework.Times)
	addresses = regexp.MustCompile(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|\bfd[0-9a-f]{2}:[0-9a-f:]+`)
	ports     = regexp.MustCompile(`\b3[0-3]\d{3}\b`)
	generated = regexp.MustCompile(`\b(s\d+[-_]gen-)[a-z0-9]{5}\b`)
	// storedVersions are resource versions in messages.
	storedVersions = regexp.MustCompile(`(ResourceVersion in record \(|\\"resourceVersion\\":\\"|"resourceVersion":")(\d+)(\)|\\"|")`)
	// tokens are JSON Web Tokens.
	tokens = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)
	ages   = regexp.MustCompile(`^(` + framework.Ages + `)$`)
	// goTypes are types of the servers' source code, and keys are keys of their
	// stores.
	goTypes = regexp.MustCompile(`\b(?:core|networking|discovery|authentication)\.([A-Z][A-Za-z]+)`)
	// podChanges shows the fields of a Pod, by their names in the source code or in the API.
	podChanges = regexp.MustCompile(`(?s)(pod updates may not change fields other than [^\n]*\n).*`)
	keys       = regexp.MustCompile(`Key: /registry/[^,]*`)
	// versions and groups say where a resource is served, which differs on
	// purpose, except in the core API groups.
	versions = regexp.MustCompile(`\b(portolan\.dev|networking\.k8s\.io|discovery\.k8s\.io)/v1\b`)
	groups   = regexp.MustCompile(`\b(services|endpoints|endpointslices|servicecidrs|ipaddresses|Service|Endpoints|EndpointSlice|ServiceCIDR|IPAddress|List)\.(portolan\.dev|networking\.k8s\.io|discovery\.k8s\.io)\b`)
)

// name returns the name of a value, a new one if it has none.
func (m *masking) name(class, value string) string {
	if name, ok := m.names[class+" "+value]; ok {
		return name
	}
	if m.dry {
		return dryValue + class
	}
	m.counts[class]++
	name := class + strconv.Itoa(m.counts[class])
	m.names[class+" "+value] = name
	m.values[name] = value
	return name
}

// forget removes the names of values that a Service has released. If the server
// happens to pick one again, it counts as new.
func (m *mask) forget(held, still []string) {
	for _, value := range held {
		if !slices.Contains(still, value) {
			delete(m.names, value)
		}
	}
}

// picksOf returns the values in a Service's spec that may have names.
func picksOf(service map[string]any) []string {
	spec, _ := service["spec"].(map[string]any)
	var picks []string
	number := func(value any) {
		if port, ok := value.(float64); ok {
			picks = append(picks, "PORT "+strconv.Itoa(int(port)))
		}
	}
	addresses, _ := spec["clusterIPs"].([]any)
	for _, value := range addresses {
		if addr, err := netip.ParseAddr(fmt.Sprint(value)); err == nil {
			picks = append(picks, addressClass(addr)+" "+addr.String())
		}
	}
	ports, _ := spec["ports"].([]any)
	for _, port := range ports {
		if port, ok := port.(map[string]any); ok {
			number(port["nodePort"])
		}
	}
	number(spec["healthCheckNodePort"])
	return picks
}

// body masks a decoded JSON value.
func (m *masking) body(value any) any {
	object, ok := value.(map[string]any)
	if !ok {
		return m.value("", value)
	}
	if meta, ok := object["metadata"].(map[string]any); ok && object["items"] != nil || object["rows"] != nil {
		// A list has the revision of the store.
		for _, key := range []string{"resourceVersion", "continue"} {
			if meta[key] != nil {
				meta[key] = ""
			}
		}
	}
	if meta, ok := object["metadata"].(map[string]any); ok && object["kind"] == "IPAddress" {
		// On one of the servers a claim has the version of its Service.
		meta["resourceVersion"] = ""
	}
	if details, ok := object["details"].(map[string]any); ok {
		if !m.core {
			delete(details, "group")
		}
		if causes, ok := details["causes"].([]any); ok {
			details["causes"] = ordered(causes)
		}
	}
	return m.value("", object)
}

func (m *masking) value(key string, value any) any {
	switch value := value.(type) {
	case map[string]any:
		masked := make(map[string]any, len(value))
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if !m.core && key == "group" && value[key] == "portolan.dev" {
				// Upstream's Services have no group.
				continue
			}
			masked[m.text(key)] = m.value(key, value[key])
		}
		return masked
	case []any:
		masked := make([]any, len(value))
		for i := range value {
			masked[i] = m.value(key, value[i])
		}
		if key == "managedFields" {
			// Their order depends on the second of each write.
			return ordered(masked)
		}
		return masked
	case float64:
		if key == "nodePort" || key == "healthCheckNodePort" {
			if name, ok := m.port(int(value)); ok {
				return name
			}
		}
	case string:
		switch {
		case key == "uid" && uids.MatchString(value):
			return m.name("UID", value)
		case key == "resourceVersion" && value != "":
			return m.name("RV", value)
		case key == "cells" && ages.MatchString(value):
			return "AGE"
		}
		return m.text(value)
	}
	return value
}

// ordered sorts a list and removes duplicates.
func ordered(values []any) []any {
	values = slices.SortedFunc(slices.Values(values), func(a, b any) int { return strings.Compare(asJSON(a), asJSON(b)) })
	return slices.CompactFunc(values, func(a, b any) bool { return asJSON(a) == asJSON(b) })
}

// text masks values inside a text. Most texts are words, which nothing here matches.
func (m *masking) text(text string) string {
	const digits = "0123456789"
	if strings.ContainsAny(text, " .") {
		text = m.words(text)
	}
	if strings.ContainsAny(text, digits) {
		text = m.numbers(text)
	}
	return text
}

// words masks what is written differently on purpose.
func (m *masking) words(text string) string {
	text = goTypes.ReplaceAllString(text, "v1.$1")
	text = podChanges.ReplaceAllString(text, "${1}CHANGES")
	text = keys.ReplaceAllString(text, "Key: KEY")
	if !m.core {
		text = strings.ReplaceAll(text, " /v1, Kind=", " v1, Kind=")
		text = strings.ReplaceAll(text, `"Group":"portolan.dev"`, `"Group":""`)
		text = versions.ReplaceAllString(text, "v1")
		text = groups.ReplaceAllString(text, "$1")
	}
	return tokens.ReplaceAllString(text, "TOKEN")
}

// numbers masks values that a server chooses.
func (m *masking) numbers(text string) string {
	text = strings.ReplaceAll(text, m.plan.portRange(), "ALL-PORTS")
	text = storedVersions.ReplaceAllStringFunc(text, func(quoted string) string {
		parts := storedVersions.FindStringSubmatch(quoted)
		return parts[1] + m.name("RV", parts[2]) + parts[3]
	})
	text = times.ReplaceAllString(text, "TIME")
	text = generated.ReplaceAllString(text, "${1}XXXXX")
	text = uids.ReplaceAllStringFunc(text, func(uid string) string { return m.name("UID", uid) })
	text = addresses.ReplaceAllStringFunc(text, func(literal string) string {
		addr, err := netip.ParseAddr(literal)
		switch {
		case err != nil:
			return literal
		case m.plan.chosenAddress(addr):
			return m.name(addressClass(addr), addr.String())
		case m.dry && literal == text && m.plan.network(addr):
			return fakeValue + addressClass(addr)
		}
		return literal
	})
	return ports.ReplaceAllStringFunc(text, func(literal string) string {
		port, err := strconv.Atoi(literal)
		if err != nil {
			return literal
		}
		if name, ok := m.port(port); ok {
			return name
		}
		return literal
	})
}

func (m *masking) port(port int) (name string, ok bool) {
	const firstFake, lastFake = 32769, 32868
	switch {
	case m.plan.chosenPort(port):
		return m.name("PORT", strconv.Itoa(port)), true
	case m.dry && port >= firstFake && port <= lastFake:
		return fakeValue + "PORT", true
	}
	return "", false
}

func addressClass(addr netip.Addr) string {
	if addr.Is4() {
		return "IP"
	}
	return "IPV6-"
}

// differences returns the paths at which two masked values differ, with both
// values.
func differences(path string, theirs, ours any) []difference {
	if theirs, ok := theirs.(map[string]any); ok {
		if ours, ok := ours.(map[string]any); ok {
			var found []difference
			keys := maps.Clone(theirs)
			maps.Copy(keys, ours)
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				a, inTheirs := theirs[key]
				b, inOurs := ours[key]
				switch below := path + "/" + strings.ReplaceAll(key, "/", "~1"); {
				case !inTheirs:
					found = append(found, difference{below, absent{}, b})
				case !inOurs:
					found = append(found, difference{below, a, absent{}})
				default:
					found = append(found, differences(below, a, b)...)
				}
			}
			return found
		}
	}
	if theirs, ok := theirs.([]any); ok {
		if ours, ok := ours.([]any); ok && len(ours) == len(theirs) {
			var found []difference
			for i := range theirs {
				found = append(found, differences(fmt.Sprintf("%s/%d", path, i), theirs[i], ours[i])...)
			}
			return found
		}
	}
	if reflect.DeepEqual(theirs, ours) {
		return nil
	}
	return []difference{{path, theirs, ours}}
}

// difference is one place in which two answers differ.
type difference struct {
	path         string
	theirs, ours any
}

type absent struct{}

func (absent) String() string { return "(absent)" }

func (d difference) String() string {
	return fmt.Sprintf("%s\n        upstream: %v\n        Portolan: %v", d.path, d.theirs, d.ours)
}
