package conformance

// everything is the table of contents: what is looked at, by subject.
func everything() map[string]behaviours {
	return map[string]behaviours{
		"applies":    applies(),
		"discovery":  discoveries(),
		"endpoints":  endpoints(),
		"fields":     fields(),
		"formats":    formats(),
		"lists":      lists(),
		"namespaces": namespaces(),
		"operations": operations(),
		"others":     others(),
		"pods":       pods(),
		"ranges":     ranges(),
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
