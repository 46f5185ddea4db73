//go:build e2e

package e2e

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// better is a request that Portolan answers otherwise than upstream on purpose.
type better struct {
	// line of the list of upstream's defects that the difference follows, or
	// the release whose API machinery Portolan is built from.
	line string
	// what is better, and why.
	what string
	// holds says whether an exchange is such a request, upstream answers as
	// badly as ever, and Portolan as it promises.
	holds func(e *exchange) bool
}

// exceptions are all of them. The first that holds counts.
var exceptions = []better{
	{"C2", "a PUT of the status of a Service that isn't there is a 404: upstream creates one, with whatever addresses it says", func(e *exchange) bool {
		return e.step.Method == http.MethodPut && e.onStatus() && e.theirs.code == http.StatusCreated && e.ours.is(http.StatusNotFound, "NotFound")
	}},
	{"C3", "an ExternalName Service has no node ports: upstream stores them unallocated, and frees another Service's when it deletes them", func(e *exchange) bool {
		return e.ours.invalid() && e.onlyMore(nodePortOfExternalName)
	}},
	{"C5", "a name that exists is a 409, also where what the Service asks for is taken: upstream allocates before it looks", func(e *exchange) bool {
		return e.step.Method == http.MethodPost && e.theirs.refusedAllocation() && e.ours.is(http.StatusConflict, "AlreadyExists")
	}},
	{"C7", "what is wrong with a Service is told before what it can't have: upstream allocates before it validates", func(e *exchange) bool {
		return e.theirs.refusedAllocation() && e.ours.invalid() && len(e.ours.causes()) > 0 && !slices.ContainsFunc(e.ours.causes(), allocation)
	}},
	{"C7", "all that can't be had is told at once: upstream stops at the first", func(e *exchange) bool {
		ours, theirs := e.ours.plainCauses(), e.theirs.causes()
		return e.ours.invalid() && e.theirs.refusedAllocation() && len(ours) > len(theirs) && subset(theirs, ours) && all(ours, allocation)
	}},
	{"C8", "of two addresses that can't be had the first is named: upstream goes through them in no order, and leaks those that it did get", func(e *exchange) bool {
		ours, theirs := e.ours.causes(), e.theirs.causes()
		return e.theirs.refusedAllocation() && e.ours.invalid() && all(theirs, ofClusterIPs) && all(ours, ofClusterIPs) && all(ours, allocation) &&
			twoAddresses.MatchString(theirs[0].message)
	}},
	{"C9", "a dry run names values that can be had: upstream names the network's address, and ports of no range", func(e *exchange) bool {
		return e.step.isDry() && e.theirs.successful() && e.ours.successful() && e.onlyDiffers(func(d difference) bool {
			return isFake(d.theirs) && !isFake(d.ours) && d.ours != absent{}
		})
	}},
	{"C9", "a dry run is refused what the real one is refused: upstream doesn't look whether an address is taken or a port is in range", func(e *exchange) bool {
		return e.step.isDry() && e.theirs.successful() && e.ours.invalid() && all(e.ours.causes(), allocation)
	}},
	{"C9", "a dry run is refused in the words of the real one", func(e *exchange) bool {
		ours := e.ours.plainCauses()
		return e.step.isDry() && e.theirs.code == e.ours.code && len(ours) == 1 && allocation(ours[0]) &&
			all(e.theirs.causes(), func(c cause) bool { return strings.Contains(c.message, "The range of valid IPs is") })
	}},
	{"C10", "a node port serves two ports by two protocols also when a Service is made with it: upstream allows it on update only", func(e *exchange) bool {
		return e.theirs.refusedAllocation() && e.ours.successful() && all(e.theirs.causes(), ofNodePorts)
	}},
	{"C12", "the status shows the Service as it is: upstream shows what is stored, with defaults that an ExternalName doesn't have", func(e *exchange) bool {
		return e.step.Method == http.MethodGet && e.onStatus() && e.onlyDiffers(func(d difference) bool {
			return d.path == "/body/spec/internalTrafficPolicy" && d.ours == absent{}
		})
	}},
	{"C13", "a Service without a name, or with a bad one, is told so: upstream tells of the address that it would have had", func(e *exchange) bool {
		return e.ours.invalid() && all(e.ours.causes(), func(c cause) bool { return c.field == "metadata.name" }) &&
			all(e.theirs.causes(), func(c cause) bool { return strings.Contains(c.message, "spec.parentRef.name") })
	}},
	{"C14", "a health check port that can't be had is the client's mistake, not the server's", func(e *exchange) bool {
		_, why, found := strings.Cut(e.theirs.text("message"), "failed to allocate requested HealthCheck NodePort ")
		_, why, _ = strings.Cut(why, ": ")
		return found && e.theirs.code == http.StatusInternalServerError && e.ours.invalid() &&
			slices.ContainsFunc(e.ours.plainCauses(), func(c cause) bool {
				return c.field == "spec.healthCheckNodePort" && strings.HasSuffix(c.message, why)
			})
	}},
	{"C14", "a node port that is named twice is the client's mistake, not the server's", func(e *exchange) bool {
		return e.theirs.code == http.StatusInternalServerError && strings.HasPrefix(e.theirs.text("message"), "duplicate nodePort: ") && e.ours.invalid()
	}},
	{"C19", "a port that is renamed keeps its node port", func(e *exchange) bool {
		return e.theirs.successful() && e.ours.successful() && e.onlyDiffers(func(d difference) bool {
			return strings.HasPrefix(d.path, "/body/spec/ports/") && strings.HasSuffix(d.path, "/nodePort") &&
				(isFake(d.theirs) || isPort(d.theirs)) && isPort(d.ours)
		})
	}},
	{"C20", "conditions, the ports of ingress points and the load balancer's address are validated: upstream stores anything", func(e *exchange) bool {
		return e.ours.invalid() && e.onlyMore(func(c cause) bool {
			return strings.HasPrefix(c.field, "status.conditions") || ingressPort.MatchString(c.field) || c.field == "spec.loadBalancerIP"
		})
	}},
	{"C21", "whoever may see the holder of a taken value is told who it is", func(e *exchange) bool {
		return e.theirs.code == e.ours.code && sameCauses(e.theirs.causes(), e.ours.plainCauses()) &&
			!sameCauses(e.theirs.causes(), e.ours.causes()) && slices.Equal(e.theirs.warnings, e.ours.warnings)
	}},
}

var (
	// holders are named after what upstream says as well.
	holders      = regexp.MustCompile(`already allocated by [a-z.]+/[a-zA-Z0-9./:-]+`)
	twoAddresses = regexp.MustCompile(`^Invalid value: \["[^"]*","[^"]*"\]: failed to allocate IP `)
	ingressPort  = regexp.MustCompile(`^status\.loadBalancer\.ingress\[\d+\]\.ports\[\d+\]`)
)

func nodePortOfExternalName(c cause) bool {
	return ofNodePorts(c) && c.message == "Forbidden: may not be used when `type` is 'ExternalName'"
}

func ofNodePorts(c cause) bool {
	return strings.HasPrefix(c.field, "spec.ports[") && strings.HasSuffix(c.field, "].nodePort")
}

func ofClusterIPs(c cause) bool { return c.field == "spec.clusterIPs" }

// allocation says whether a cause is that a value can't be had.
func allocation(c cause) bool {
	return strings.Contains(c.message, "failed to allocate IP") || strings.Contains(c.message, "provided port is ")
}

func isFake(value any) bool {
	text, ok := value.(string)
	return ok && strings.HasPrefix(text, fakeValue)
}

func isPort(value any) bool {
	text, ok := value.(string)
	return ok && (strings.HasPrefix(text, "PORT") || text == dryValue+"PORT")
}
