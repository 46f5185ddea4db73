package bodies

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// maxDepth is how many levels a body may nest. A Pod with its managed fields
	// has about 15.
	maxDepth = 256
	// maxWeight is for the sum of the depths at which the bytes of a body are. It
	// is exhausted by 3 MiB at a depth of 16, and no object of that size fits into
	// etcd.
	maxWeight = 16 * 3 << 20
	// maxDirectives are those of YAML, which a document has two of at most.
	maxDirectives = 100
	// maxMergedElements are those of a list in a strategic merge patch.
	maxMergedElements = 5000
	// maxOperations are those of a JSON patch. The handler counts them before it
	// carries out the first, and answers more with a 413.
	maxOperations = 10_000
	// maxLift is by how many levels the operations of a JSON patch may move or copy
	// values deeper, in sum.
	maxLift = 64
	// maxShifts is for the elements that the operations of a JSON patch may move in
	// lists, in sum.
	maxShifts = 1 << 27
	// maxDigits, maxNegativeExponent and maxExponent are of what may be a quantity.
	// The last is for more digits than an int64 has, of which the next is the
	// number: others stay a pair of integers.
	maxDigits           = 4096
	maxNegativeExponent = 999
	maxExponent         = 99
	fastDigits          = 18
)

func refuse(format string, values ...any) error {
	return apierrors.NewBadRequest("the body of the request is refused: " + fmt.Sprintf(format, values...))
}
