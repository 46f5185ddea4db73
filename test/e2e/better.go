//go:build e2e

package e2e

// better is a request that Portolan answers otherwise than upstream on purpose.
type better struct {
	// line of the list of upstream's defects that the difference follows.
	line string
	// what is better, and why.
	what string
	// holds says whether an exchange is such a request, upstream answers as
	// badly as ever, and Portolan as it promises.
	holds func(e *exchange) bool
}

var exceptions = []better{}
