package bodies

// number measures a number in decimal or exponent notation, as quantities are written. A
// string must consist of the number only, since many other strings contain something that
// looks like an exponent.
type number struct {
	part part
	// digits is the number of digits before the exponent.
	digits   int
	negative bool
	exponent int
}

// part is the part of a number that its next character belongs to.
type part int

const (
	start part = iota
	integer
	fraction
	exponentSign
	exponentDigits
	notANumber
)

// exponentCap keeps exponents from overflowing. It is above every limit.
const exponentCap = 1_000_000

// numeric reports whether a character can be part of a number.
func numeric(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

func (n *number) nextRune(r rune) {
	if r >= 0x80 {
		r = 0
	}
	n.next(byte(r))
}

func (n *number) next(c byte) {
	digit := c >= '0' && c <= '9'
	switch {
	case n.part == notANumber:
	case digit && n.part <= integer:
		n.part = integer
		n.digits++
	case digit && n.part == fraction:
		n.digits++
	case digit:
		n.part = exponentDigits
		n.exponent = min(n.exponent*10+int(c-'0'), exponentCap)
	case c == '.' && n.part <= integer:
		n.part = fraction
	case (c == 'e' || c == 'E') && n.part <= fraction && n.digits > 0:
		n.part = exponentSign
	case (c == '-' || c == '+') && n.part == exponentSign:
		n.part, n.negative = exponentDigits, c == '-'
	case (c == '-' || c == '+') && n.part == start && n.digits == 0:
		n.part = integer
	default:
		n.part = notANumber
	}
}

// end returns an error if the number exceeds a limit, and resets it for the next one.
func (n *number) end() error {
	ended := *n
	*n = number{}
	return ended.check()
}

func (n number) check() error {
	switch {
	case n.part == notANumber || n.part == start:
		return nil
	case n.digits > maxDigits:
		return reject("it has a number of more than %d digits", maxDigits)
	case n.negative && n.exponent > maxNegativeExponent:
		return reject("it has a number with an exponent below -%d", maxNegativeExponent)
	case n.digits > fastDigits && n.exponent > maxExponent:
		return reject("it has a number of more than %d digits with an exponent above %d", fastDigits, maxExponent)
	}
	return nil
}

// checkProtobuf looks for quantities in protobuf, where a string follows its length. The
// type of a field is unknown here, so a length that is followed by a number of that length
// counts as a quantity.
func checkProtobuf(body []byte) error {
	for i := 0; i < len(body); i++ {
		if !numeric(body[i]) {
			continue
		}
		end := i + 1
		for end < len(body) && numeric(body[end]) {
			end++
		}
		// The length may itself look like a digit.
		for first := i; first < end; first++ {
			if err := checkQuantityAt(body, first, end); err != nil {
				return err
			}
		}
		i = end
	}
	return nil
}

// checkQuantityAt checks the number that begins at first, if a length precedes it and it
// ends before end.
func checkQuantityAt(body []byte, first, end int) error {
	length := 0
	for back := 1; back <= min(first, maxVarint); back++ {
		c := body[first-back]
		if back > 1 && c < 0x80 {
			return nil
		}
		length = length<<7 | int(c&0x7f)
		if length > end-first {
			// Further bytes only add lower digits.
			return nil
		}
		if length > 0 {
			var n number
			for _, c := range body[first : first+length] {
				n.next(c)
			}
			if err := n.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxVarint is the largest number of bytes of a length.
const maxVarint = 10
