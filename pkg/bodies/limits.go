package bodies

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// maxDepth limits the nesting of a body. A Pod with its managed fields has about 15
	// levels.
	maxDepth = 256
	// maxWeight limits the sum of the depths of all bytes of a body. 3 MiB at a depth of
	// 16 reach it; no object of that size fits into etcd.
	maxWeight = 16 * 3 << 20
	// maxDirectives limits the directives of YAML. A valid document has at most two.
	maxDirectives = 100
	// maxMergedElements limits the elements of a list in a strategic merge patch.
	maxMergedElements = 5000
	// maxOperations is the handler's limit on the operations of a JSON patch. The handler
	// answers 413 before it applies the first one.
	maxOperations = 10_000
	// maxLift limits by how many levels in total a JSON patch may move or copy values
	// deeper.
	maxLift = 64
	// maxShifts limits how many list elements in total a JSON patch may move.
	maxShifts = 1 << 27
	// maxDigits, maxNegativeExponent and maxExponent limit numbers, which may be
	// quantities. maxExponent applies to numbers of more than fastDigits digits, which do
	// not fit into an int64. Shorter ones are kept as an integer and an exponent.
	maxDigits           = 4096
	maxNegativeExponent = 999
	maxExponent         = 99
	fastDigits          = 18
)

func reject(format string, values ...any) error {
	return apierrors.NewBadRequest("the body of the request is refused: " + fmt.Sprintf(format, values...))
}
