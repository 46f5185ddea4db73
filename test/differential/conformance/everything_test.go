package conformance

// everything lists all behaviors by subject.
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

// first lists the behaviors that start with a change that others would notice.
// They start one by one.
func first() behaviors {
	return behaviors{
		"a token that has expired":    expiredToken,
		"a ServiceCIDR":               rangeLifecycle,
		"the status of a ServiceCIDR": rangeStatus,
		"a Service in another range":  serviceInAnotherRange,
	}
}
