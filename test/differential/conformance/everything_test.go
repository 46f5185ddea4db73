package conformance

// everything is the table of contents: what is looked at, by subject.
func everything() map[string]behaviors {
	return map[string]behaviors{
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

// first are the behaviors that begin with what others would notice, one by one.
func first() behaviors {
	return behaviors{
		"a token that has expired":    expiredToken,
		"a ServiceCIDR":               rangeLifecycle,
		"the status of a ServiceCIDR": rangeStatus,
		"a Service in another range":  serviceInAnotherRange,
	}
}
