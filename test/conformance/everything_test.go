package conformance

// everything is the table of contents: what is looked at, by subject.
func everything() map[string]behaviours {
	return map[string]behaviours{
		"discovery":  discoveries(),
		"applies":    applies(),
		"endpoints":  endpoints(),
		"pods":       pods(),
		"ranges":     ranges(),
		"fields":     fields(),
		"formats":    formats(),
		"lists":      lists(),
		"operations": operations(),
		"namespaces": namespaces(),
		"others":     others(),
		"services":   services(),
		"tables":     tables(),
		"watches":    watches(),
	}
}

// first are the behaviours that begin with what others would notice, one by one.
func first() behaviours {
	return behaviours{
		"a token that has expired":    expiredToken,
		"a ServiceCIDR":               rangeLifecycle,
		"the status of a ServiceCIDR": rangeStatus,
		"a Service in another range":  serviceInAnotherRange,
	}
}
