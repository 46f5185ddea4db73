package options

import (
	"strings"

	"github.com/portolan-dev/portolan/pkg/registry"
)

// coreResources lists the resources of the core API groups for a flag's help: by group
// those that portolan.dev has too, and the others.
func coreResources() (shared, others string) {
	var groups, rest []string
	byGroup := map[string][]string{}
	portolan := registry.PortolanKinds()
	for _, kind := range portolan {
		for _, group := range kind.Groups[1:] {
			name := group.String()
			if byGroup[name] == nil {
				groups = append(groups, name)
			}
			byGroup[name] = append(byGroup[name], kind.Resource.Resource)
		}
	}
	for i, name := range groups {
		groups[i] = enumeration(byGroup[name]) + " as " + name
	}
	for _, kind := range registry.Kinds()[len(portolan):] {
		rest = append(rest, kind.Resource.Resource)
	}
	return strings.Join(groups, ", "), enumeration(rest)
}

// enumeration joins words: "a, b and c".
func enumeration(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
