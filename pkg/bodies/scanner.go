package bodies

import "k8s.io/apimachinery/pkg/types"

// scanner measures a stream of JSON in constant memory.
type scanner struct {
	// depth is the current depth, and deepest the largest one so far.
	depth, deepest int
	weight         int64
	// commas counts, by depth, the commas of the open list. inList reports, by depth,
	// whether a list is open.
	commas [maxDepth + 1]int
	inList [maxDepth + 1]bool
	// longest is the length of the longest list, and longestAllowed its limit.
	longest, longestAllowed int

	inString, escaped bool
	// unicode is how many digits of an escaped character are still to come, and code is
	// the value of the previous ones.
	unicode int
	code    rune
	number  number
}

func newScanner(mediaType string) *scanner {
	s := &scanner{}
	if types.PatchType(mediaType) == types.StrategicMergePatchType {
		s.longestAllowed = maxMergedElements
	}
	return s
}

// scan measures more of a body. It returns an error if a limit is exceeded.
func (s *scanner) scan(data []byte) error {
	for _, c := range data {
		s.weight += int64(s.depth)
		var err error
		if s.inString {
			err = s.inside(c)
		} else {
			err = s.outside(c)
		}
		if err != nil {
			return err
		}
	}
	if s.weight > maxWeight {
		return reject("it holds too much at too deep a level; the bytes of a body, each times the level that it is at, may be %d", maxWeight)
	}
	return nil
}

// outside scans a byte outside of strings.
func (s *scanner) outside(c byte) error {
	if numeric(c) {
		s.number.next(c)
		return nil
	}
	if err := s.number.end(); err != nil {
		return err
	}
	switch c {
	case '"':
		s.inString = true
	case '{', '[':
		s.depth++
		s.deepest = max(s.deepest, s.depth)
		if s.depth > maxDepth {
			return reject("exceeded max depth: it nests deeper than %d levels", maxDepth)
		}
		s.commas[s.depth], s.inList[s.depth] = 0, c == '['
	case '}', ']':
		s.depth = max(s.depth-1, 0)
	case ',':
		if !s.inList[s.depth] {
			return nil
		}
		s.commas[s.depth]++
		s.longest = max(s.longest, s.commas[s.depth]+1)
		if s.longestAllowed > 0 && s.longest > s.longestAllowed {
			return reject("it has more than %d elements in one list, which is too many for a strategic merge patch; "+
				"use server-side apply or an update", s.longestAllowed)
		}
	}
	return nil
}

// inside scans a byte of a string.
func (s *scanner) inside(c byte) error {
	switch {
	case s.unicode > 0:
		s.unicode--
		s.code = s.code<<4 | hexDigit(c)
		if s.unicode == 0 {
			s.number.nextRune(s.code)
		}
	case s.escaped:
		s.escaped = false
		if c == 'u' {
			s.unicode, s.code = 4, 0
		} else {
			s.number.next(c)
		}
	case c == '\\':
		s.escaped = true
	case c == '"':
		s.inString = false
		return s.number.end()
	default:
		s.number.next(c)
	}
	return nil
}

func hexDigit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	}
	return 0
}
