package conformance

// everything is the table of contents: what is looked at, by subject.
func everything() map[string]behaviours {
	return map[string]behaviours{
		"discovery":  discoveries(),
		"applies":    applies(),
		"endpoints":  endpoints(),
		"pods":       pods(),
		"fields":     fields(),
		"formats":    formats(),
		"lists":      lists(),
		"operations": operations(),
		"services":   services(),
		"watches":    watches(),
	}
}

// first are the behaviours that begin with what others would notice.
func first() behaviours {
	return behaviours{"a token that has expired": expiredToken}
}
