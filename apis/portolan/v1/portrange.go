package v1

import (
	"errors"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

const maxPort = 65535

// ParsePortRange parses one entry of NodePortRangeSpec.Ports: a port ("443") or an
// inclusive range ("30000-32767"), in decimals from 1 to 65535. The error describes a
// valid entry and does not quote the invalid one, so that it can follow a field path.
func ParsePortRange(entry string) (first, last int32, err error) {
	low, high, isRange := strings.Cut(entry, "-")
	if !isRange {
		high = low
	}
	if first, err = parsePort(low); err != nil {
		return 0, 0, err
	}
	if last, err = parsePort(high); err != nil {
		return 0, 0, err
	}
	if last < first {
		return 0, 0, errors.New("the first port must not be above the last")
	}
	return first, last, nil
}

func parsePort(text string) (int32, error) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, errors.New(`must be a port, such as "443", or a range of ports, such as "30000-32767"`)
	}
	if len(text) > 1 && text[0] == '0' {
		return 0, errors.New("must not have leading zeros")
	}
	port, err := strconv.ParseInt(text, 10, 32)
	if err != nil || port < 1 || port > maxPort {
		return 0, errors.New(validation.InclusiveRangeError(1, maxPort))
	}
	return int32(port), nil
}
