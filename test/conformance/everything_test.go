package conformance

// everything is the table of contents: what is looked at, by subject.
func everything() map[string]behaviours {
	return map[string]behaviours{
		"operations": operations(),
		"services":   services(),
		"watches":    watches(),
	}
}

// alone are the behaviours that others would notice.
func alone() behaviours {
	return behaviours{}
}
