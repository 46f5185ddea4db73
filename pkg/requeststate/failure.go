package requeststate

import "github.com/portolan-dev/portolan/pkg/allocation"

// Scope says who chose a value, in the words of upstream's metrics.
type Scope string

const (
	// Static is the scope of a value that the client named.
	Static Scope = "static"
	// Dynamic is the scope of a value that was picked for the request.
	Dynamic Scope = "dynamic"
)

// Failure is a value for which a request was rejected: a value that the client named
// and that is taken or outside every range, or a pick that found no free value.
type Failure struct {
	Class allocation.Class
	// Block is the block that the value lies in, or the only block that it could have
	// been picked from. It is empty if there is no single block.
	Block string
	Scope Scope
}
