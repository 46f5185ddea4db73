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
	{"C2", "the status of a Service that isn't there is not written: upstream creates one, with whatever addresses it says", func(e *exchange) bool {
		return e.onStatus() && e.ours.is(http.StatusNotFound, "NotFound") && (e.step.Method == http.MethodPut || e.step.ContentType == apply) &&
			(e.theirs.code == http.StatusCreated || all(e.theirs.causes(), func(c cause) bool { return c.message == "Required value" }))
	}},
	{"C3", "an ExternalName Service has no node ports: upstream stores them unallocated, and frees another Service's when it deletes them", func(e *exchange) bool {
		return e.ours.invalid() && e.onlyMore(nodePortOfExternalName, unvalidated)
	}},
	{"C5", "a name that exists is a 409, also where what the Service asks for is taken: upstream allocates before it looks", func(e *exchange) bool {
		return e.step.Method == http.MethodPost && e.theirs.refusedAllocation() && e.ours.is(http.StatusConflict, "AlreadyExists")
	}},
	{"C13", "a Service without a name, or with a bad one, is told so: upstream tells of the address that it would have had", func(e *exchange) bool {
		return e.ours.invalid() && all(e.ours.causes(), func(c cause) bool { return c.field == "metadata.name" }) &&
			all(e.theirs.causes(), func(c cause) bool { return strings.Contains(c.message, "spec.parentRef.name") })
	}},
	{"C7", "what is wrong with a Service is told before what it can't have: upstream allocates before it validates", func(e *exchange) bool {
		wrong := slices.DeleteFunc(e.ours.plainCauses(), allocation)
		return e.theirs.refusedAllocation() && e.ours.invalid() && len(wrong) > 0 && e.onlyMore(func(c cause) bool { return slices.Contains(wrong, c) }) ||
			e.theirs.refusedAllocation() && e.ours.invalid() && len(wrong) > 0 && len(wrong) == len(e.ours.causes())
	}},
	{"C7", "a node port of no range is told before one that is taken: the first can be known without looking", func(e *exchange) bool {
		return e.theirs.refusedAllocation() && e.ours.invalid() && all(e.theirs.causes(), ofNodePorts) &&
			all(e.ours.causes(), func(c cause) bool { return ofNodePorts(c) && strings.Contains(c.message, "not in the valid range") })
	}},
	{"C7", "a port that is there twice is not blamed for the node port that it got twice: upstream allocates before it validates", func(e *exchange) bool {
		twice := func(c cause) bool {
			return ofNodePorts(c) && (strings.HasPrefix(c.message, "Duplicate value: PORT") || strings.HasPrefix(c.message, "Duplicate value: FAKE"))
		}
		return e.ours.invalid() && e.theirs.invalid() && slices.ContainsFunc(e.theirs.causes(), twice) &&
			sameCauses(slices.DeleteFunc(e.theirs.causes(), twice), e.ours.causes())
	}},
	{"C7", "what is deprecated is told also with a refusal: upstream allocates before it looks", func(e *exchange) bool {
		return e.theirs.refusedAllocation() && e.theirs.code == e.ours.code && sameCauses(e.theirs.causes(), e.ours.plainCauses()) &&
			len(e.theirs.warnings) == 0 && len(e.ours.warnings) > 0
	}},
	{"C8", "of two addresses that can't be had the first is named: upstream goes through them in no order, and leaks those that it did get", func(e *exchange) bool {
		ours, theirs := e.ours.causes(), e.theirs.causes()
		return e.theirs.refusedAllocation() && e.ours.invalid() && all(theirs, ofClusterIPs) && all(ours, ofClusterIPs) && all(ours, allocation) &&
			twoAddresses.MatchString(theirs[0].message)
	}},
	{"C9", "a dry run names values that can be had: upstream names the network's address, and ports of no range", func(e *exchange) bool {
		return e.step.isDry() && e.theirs.successful() && e.ours.successful() && e.onlyDiffers(func(d difference) bool {
			return isDry(d.ours) && (isFake(d.theirs) || isNodePort(d.path))
		})
	}},
	{"C9", "a dry run is refused what the real one is refused: upstream doesn't look whether an address is taken or a port is in range", func(e *exchange) bool {
		return e.step.isDry() && e.ours.invalid() && all(e.ours.causes(), allocation) && (e.theirs.successful() || e.theirs.refusedAllocation() ||
			all(e.theirs.causes(), func(c cause) bool { return c.field == "spec.healthCheckNodePort" }))
	}},
	{"C10", "a node port serves two ports by two protocols also when a Service is made with it: upstream allows it on update only", func(e *exchange) bool {
		return e.theirs.refusedAllocation() && e.ours.successful() && all(e.theirs.causes(), ofNodePorts)
	}},
	{"C10", "a port shares the node port of its other protocol also when it is added: upstream does so only in a new Service", func(e *exchange) bool {
		return e.theirs.successful() && e.ours.successful() && e.onlyDiffers(func(d difference) bool {
			return isNodePort(d.path) && (isPort(d.theirs) || e.step.isDry()) && e.ours.sharesNodePort(d.path)
		})
	}},
	{"C12", "the status shows the Service as it is: upstream shows what is stored, with defaults that an ExternalName doesn't have", func(e *exchange) bool {
		return e.step.Method == http.MethodGet && e.onStatus() && e.onlyDiffers(func(d difference) bool {
			return d.path == "/body/spec/internalTrafficPolicy" && d.ours == absent{}
		})
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
			return isNodePort(d.path) && (isFake(d.theirs) || isPort(d.theirs)) && isPort(d.ours)
		})
	}},
	{"C20", "conditions, the ports of ingress points and the load balancer's address are validated: upstream stores anything", func(e *exchange) bool {
		return e.ours.invalid() && e.onlyMore(unvalidated)
	}},
	{"C21", "whoever may see the holder of a taken value is told who it is", func(e *exchange) bool {
		return e.theirs.code == e.ours.code && sameCauses(e.theirs.causes(), e.ours.plainCauses()) &&
			e.theirs.text("message") == holders.ReplaceAllString(e.ours.text("message"), "already allocated") && slices.Equal(e.theirs.warnings, e.ours.warnings)
	}},
	{"1.37", "a patch that is none is told so before anything else", func(e *exchange) bool {
		return e.step.Method == http.MethodPatch && e.ours.is(http.StatusBadRequest, "BadRequest") && malformedPatch.MatchString(e.ours.text("message")) &&
			(e.theirs.is(http.StatusNotFound, "NotFound") || e.theirs.is(http.StatusBadRequest, "BadRequest") && malformedBefore.MatchString(e.theirs.text("message")))
	}},
	{"1.37", "the API machinery tells better what is wrong with metadata", func(e *exchange) bool {
		ownersOrFinalizers := func(c cause) bool {
			return strings.HasPrefix(c.field, "metadata.ownerReferences") || strings.HasPrefix(c.field, "metadata.finalizers")
		}
		return e.theirs.invalid() && e.ours.invalid() && all(e.theirs.causes(), ownersOrFinalizers) && all(e.ours.causes(), ownersOrFinalizers)
	}},
}

var (
	// holders are named after what upstream says as well.
	holders      = regexp.MustCompile(`already allocated by [a-z.]+/[a-zA-Z0-9./:-]+`)
	twoAddresses = regexp.MustCompile(`^Invalid value: \["[^"]*","[^"]*"\]: failed to allocate IP `)
	// The words for a patch that is none, of 1.37 and of 1.36.
	malformedPatch  = regexp.MustCompile(`^(invalid JSON patch|error decoding patch: error (converting YAML to JSON|unmarshaling JSON): .*|error encoding patch: yaml: .*)$`)
	malformedBefore = regexp.MustCompile(`^(error decoding patch: |error decoding YAML: error (converting YAML to JSON|unmarshaling JSON): .*)?(unexpected end of JSON input)?$`)
	ingressPort     = regexp.MustCompile(`^status\.loadBalancer\.ingress\[\d+\]\.ports\[\d+\]`)
)

func nodePortOfExternalName(c cause) bool {
	return ofNodePorts(c) && c.message == "Forbidden: may not be used when `type` is 'ExternalName'"
}

// unvalidated says whether a cause is of what upstream takes anything for.
func unvalidated(c cause) bool {
	return strings.HasPrefix(c.field, "status.conditions") || ingressPort.MatchString(c.field) || c.field == "spec.loadBalancerIP"
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

func isDry(value any) bool {
	text, ok := value.(string)
	return ok && strings.HasPrefix(text, dryValue)
}

func isNodePort(path string) bool {
	return path == "/body/spec/healthCheckNodePort" || strings.HasPrefix(path, "/body/spec/ports/") && strings.HasSuffix(path, "/nodePort")
}

func isPort(value any) bool {
	text, ok := value.(string)
	return ok && strings.HasPrefix(text, "PORT")
}
