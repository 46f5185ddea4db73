package bodies

import (
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// checkJSONPatch bounds the effects of a JSON patch on an object that is not known here:
// how deep the object becomes, and how many list elements are moved. Each level is encoded
// again by the level above it. Each operation that inserts into a list or removes from it
// copies the list.
func checkJSONPatch(body []byte) error {
	all := newScanner(runtime.ContentTypeJSON)
	if err := all.scan(body); err != nil {
		return err
	}
	var operations []map[string]json.RawMessage
	if err := json.Unmarshal(body, &operations); err != nil {
		return nil //nolint:nilerr // The handler's decoder finds the same error, and reports it.
	}
	if len(operations) > maxOperations {
		return nil
	}
	var sum patchCost
	for _, operation := range operations {
		if err := sum.add(operation); err != nil {
			return err
		}
	}
	return nil
}

// patchCost is the cost of the operations so far.
type patchCost struct {
	weight  int64
	lift    int
	longest int
	grown   int
	shifts  int
}

func (c *patchCost) add(operation map[string]json.RawMessage) error {
	into := levels(operation["path"])
	if into > maxDepth {
		return reject("exceeded max depth: a path of the JSON patch has more than %d levels", maxDepth)
	}
	if value := operation["value"]; value != nil {
		measured := newScanner(runtime.ContentTypeJSON)
		if err := measured.scan(value); err != nil {
			return err
		}
		if into+measured.deepest > maxDepth {
			return reject("exceeded max depth: the JSON patch nests deeper than %d levels", maxDepth)
		}
		c.weight += measured.weight + int64(into)*int64(len(value))
		c.longest = max(c.longest, measured.longest)
	}
	if from := operation["from"]; from != nil {
		c.lift += max(into-levels(from), 0)
	}
	c.grown++
	c.shifts += c.longest + c.grown
	switch {
	case c.weight > maxWeight:
		return reject("the JSON patch puts too much at too deep a level")
	case c.lift > maxLift:
		return reject("exceeded max depth: the JSON patch moves or copies values deeper by more than %d levels in all", maxLift)
	case c.shifts > maxShifts:
		return reject("the JSON patch has too many operations for a list that long; replace the list as a whole")
	}
	return nil
}

// levels returns the number of levels of an encoded path, zero if it is not a string.
func levels(encoded json.RawMessage) int {
	var path string
	if err := json.Unmarshal(encoded, &path); err != nil {
		return 0
	}
	return strings.Count(path, "/")
}
