package role

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Bounds of what it costs to compare rules with a user's own. validation.Covers breaks each rule
// down into rules of one API group, resource, name and verb, and compares each of these with each
// rule of the user. A rule with 300 of everything is a small request and has eight billion.
const (
	// maxBreakdown is in bytes: about 10,000 rules with names of usual length. An error may
	// list all of them.
	maxBreakdown = 1 << 20
	// maxComparisons take about a second.
	maxComparisons = 5_000_000
)

// mayCompare reports whether rules can be compared with a user's own within the bounds.
func mayCompare(own, rules []rbacv1.PolicyRule) bool {
	var count, size float64
	for _, rule := range rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, lists := range [][][]string{{rule.APIGroups, rule.Resources, names, rule.Verbs}, {rule.NonResourceURLs, rule.Verbs}} {
			const overhead = 64
			combinations, average := 1.0, float64(overhead)
			for _, list := range lists {
				combinations *= float64(len(list))
				for _, value := range list {
					average += float64(len(value)) / float64(len(list))
				}
			}
			count += combinations
			size += combinations * average
		}
	}
	return size <= maxBreakdown && count*float64(len(own)) <= maxComparisons
}

// compact merges rules of one resource that differ only in their verbs. The rules are
// those of validation.Covers, which have one of everything.
func compact(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	type resource struct {
		group, resource, name string
		named                 bool
	}
	first := func(values []string) string {
		if len(values) == 0 {
			return ""
		}
		return values[0]
	}
	var merged []rbacv1.PolicyRule
	places := map[resource]int{}
	for _, rule := range rules {
		rule.Verbs = slices.Clone(rule.Verbs)
		if len(rule.NonResourceURLs) > 0 {
			merged = append(merged, rule)
			continue
		}
		key := resource{first(rule.APIGroups), first(rule.Resources), first(rule.ResourceNames), len(rule.ResourceNames) > 0}
		place, found := places[key]
		if !found {
			places[key] = len(merged)
			merged = append(merged, rule)
			continue
		}
		merged[place].Verbs = append(merged[place].Verbs, rule.Verbs...)
	}
	return merged
}

func describe(rule rbacv1.PolicyRule) string {
	var parts []string
	for _, part := range []struct {
		name   string
		values []string
	}{
		{"APIGroups", rule.APIGroups}, {"Resources", rule.Resources}, {"NonResourceURLs", rule.NonResourceURLs},
		{"ResourceNames", rule.ResourceNames}, {"Verbs", rule.Verbs},
	} {
		if len(part.values) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%q", part.name, part.values))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
