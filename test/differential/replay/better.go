//go:build e2e

package replay

import (
	"fmt"
	"net/http"
	"reflect"
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
	// same says that both servers hold the same object afterwards, of which one
	// shows more.
	same bool
	// own says that it shows in the group portolan.dev alone, and core that it
	// shows in the core API groups alone.
	own, core bool
}

// exceptions are those that show at a door.
func exceptions(core bool) []better {
	return slices.DeleteFunc(slices.Clone(allExceptions), func(b better) bool { return core && b.own || !core && b.core })
}

// allExceptions are all of them. The first that holds counts.
var allExceptions = []better{
	{line: "C2", what: "the status of a Service that isn't there is not written: upstream creates one, with whatever addresses it says",
		holds: func(e *exchange) bool {
			return e.onStatus() && e.ours.is(http.StatusNotFound, "NotFound") && (e.step.Method == http.MethodPut || e.step.ContentType == apply) &&
				(e.theirs.code == http.StatusCreated || all(e.theirs.causes(), func(c cause) bool { return c.message == "Required value" }))
		}},
	{line: "C3", what: "an ExternalName Service has no node ports: upstream stores them unallocated, and frees another Service's when it deletes them", holds: func(e *exchange) bool {
		return e.ours.invalid() && e.onlyMore(nodePortOfExternalName, unvalidated)
	}},
	{line: "C5", what: "a name that exists is a 409, also where what the Service asks for is taken: upstream allocates before it looks",
		holds: func(e *exchange) bool {
			return e.step.Method == http.MethodPost && e.theirs.refusedAllocation() && e.ours.is(http.StatusConflict, "AlreadyExists")
		}},
	{line: "C13", what: "a Service without a name, or with a bad one, is told so: upstream tells of the address that it would have had",
		holds: func(e *exchange) bool {
			return e.ours.invalid() && all(e.ours.causes(), func(c cause) bool { return c.field == "metadata.name" }) &&
				all(e.theirs.causes(), func(c cause) bool { return strings.Contains(c.message, "spec.parentRef.name") })
		}},
	{line: "C6", what: "what a Service holds can't be deleted or changed but by the Service: upstream gives it to the next",
		holds: func(e *exchange) bool {
			return strings.Contains(e.step.Path, ipAddresses.collection) && e.ours.is(http.StatusConflict, "Conflict") &&
				heldBy.MatchString(e.ours.text("message")) &&
				(e.theirs.successful() || e.theirs.invalid())
		}},
	{line: "C6", what: "a range isn't deleted while a Service has an address of it: upstream leaves that to a controller",
		holds: func(e *exchange) bool {
			return e.step.Method == http.MethodDelete && strings.HasPrefix(e.step.Path, serviceCIDRs.collection) && e.theirs.successful() &&
				e.ours.is(http.StatusConflict, "Conflict") && strings.Contains(e.ours.text("message"), "services/")
		}},
	{line: "C7", what: "what is wrong with a Service is told before what it can't have: upstream allocates before it validates",
		holds: func(e *exchange) bool {
			wrong := slices.DeleteFunc(e.ours.plainCauses(), allocation)
			return e.theirs.refusedAllocation() && e.ours.invalid() && len(wrong) > 0 &&
				e.onlyMore(func(c cause) bool { return slices.Contains(wrong, c) }) ||
				e.theirs.refusedAllocation() && e.ours.invalid() && len(wrong) > 0 && len(wrong) == len(e.ours.causes())
		}},
	{line: "C7", what: "a node port of no range is told before one that is taken: the first can be known without looking",
		holds: func(e *exchange) bool {
			return e.theirs.refusedAllocation() && e.ours.invalid() && all(e.theirs.causes(), ofNodePorts) &&
				all(e.ours.causes(), func(c cause) bool { return ofNodePorts(c) && strings.Contains(c.message, "not in the valid range") })
		}},
	{line: "C7", what: "a port that is there twice is not blamed for the node port that it got twice: upstream allocates before it validates",
		holds: func(e *exchange) bool {
			twice := func(c cause) bool {
				return ofNodePorts(c) &&
					(strings.HasPrefix(c.message, "Duplicate value: PORT") || strings.HasPrefix(c.message, "Duplicate value: FAKE"))
			}
			return e.ours.invalid() && e.theirs.invalid() && slices.ContainsFunc(e.theirs.causes(), twice) &&
				sameCauses(slices.DeleteFunc(e.theirs.causes(), twice), e.ours.causes())
		}},
	{line: "C7", what: "what is deprecated is told also with a refusal: upstream allocates before it looks", holds: func(e *exchange) bool {
		return e.theirs.refusedAllocation() && e.theirs.code == e.ours.code && sameCauses(e.theirs.causes(), e.ours.plainCauses()) &&
			len(e.theirs.warnings) == 0 && len(e.ours.warnings) > 0
	}},
	{line: "C8", what: "of two addresses that can't be had the first is named: upstream goes through them in no order, and leaks those that it did get", holds: func(e *exchange) bool {
		ours, theirs := e.ours.causes(), e.theirs.causes()
		return e.theirs.refusedAllocation() && e.ours.invalid() && all(theirs, ofClusterIPs) && all(ours, ofClusterIPs) &&
			all(ours, allocation) &&
			twoAddresses.MatchString(theirs[0].message)
	}},
	{line: "C9", what: "a dry run names values that can be had: upstream names the network's address, and ports of no range",
		holds: func(e *exchange) bool {
			return e.step.isDry() && e.theirs.successful() && e.ours.successful() && e.onlyDiffers(func(d difference) bool {
				return isDry(d.ours) && (isFake(d.theirs) || isNodePort(d.path))
			})
		}},
	{line: "C9", what: "a dry run is refused what the real one is refused: upstream doesn't look whether an address is taken or a port is in range", holds: func(e *exchange) bool {
		return e.step.isDry() && e.ours.invalid() && all(e.ours.causes(), allocation) && (e.theirs.successful() || e.theirs.refusedAllocation() ||
			all(e.theirs.causes(), func(c cause) bool { return c.field == "spec.healthCheckNodePort" }))
	}},
	{line: "C10", what: "an ExternalName Service gets no address from an update either: upstream looks at clusterIPs alone, which older clients leave out", holds: func(e *exchange) bool {
		return e.ours.invalid() && e.onlyMore(func(c cause) bool {
			return ofClusterIPs(c) && c.message == "Forbidden: may not be set for ExternalName services"
		})
	}},
	{line: "C10", what: "a node port serves two ports by two protocols also when a Service is made with it: upstream allows it on update only",
		holds: func(e *exchange) bool {
			return e.theirs.refusedAllocation() && e.ours.successful() && all(e.theirs.causes(), ofNodePorts)
		}},
	{line: "C10", what: "a port shares the node port of its other protocol also when it is added: upstream does so only in a new Service",
		holds: func(e *exchange) bool {
			return e.theirs.successful() && e.ours.successful() && e.onlyDiffers(func(d difference) bool {
				return isNodePort(d.path) && (isPort(d.theirs) || e.step.isDry()) && e.ours.sharesNodePort(d.path)
			})
		}},
	{line: "C12", what: "the status shows the Service as it is: upstream shows what is stored, with defaults that an ExternalName doesn't have", holds: func(e *exchange) bool {
		return e.step.Method == http.MethodGet && e.onStatus() && e.onlyDiffers(func(d difference) bool {
			return d.path == "/body/spec/internalTrafficPolicy" && d.ours == absent{}
		})
	}},
	{line: "C14", what: "a health check port that can't be had is the client's mistake, not the server's", holds: func(e *exchange) bool {
		_, why, found := strings.Cut(e.theirs.text("message"), "failed to allocate requested HealthCheck NodePort ")
		_, why, _ = strings.Cut(why, ": ")
		return found && e.theirs.code == http.StatusInternalServerError && e.ours.invalid() &&
			slices.ContainsFunc(e.ours.plainCauses(), func(c cause) bool {
				return c.field == "spec.healthCheckNodePort" && strings.HasSuffix(c.message, why)
			})
	}},
	{line: "C14", what: "a node port that is named twice is the client's mistake, not the server's", holds: func(e *exchange) bool {
		return e.theirs.code == http.StatusInternalServerError && strings.HasPrefix(e.theirs.text("message"), "duplicate nodePort: ") &&
			e.ours.invalid()
	}},
	{line: "C14", what: "a range that is full is no mistake of the server's", holds: func(e *exchange) bool {
		return full(&e.ours) && (e.theirs.code == http.StatusInternalServerError &&
			strings.HasSuffix(e.theirs.text("message"), "range is full") ||
			e.theirs.successful() && e.step.isDry())
	}},
	{line: "C16", what: "no range has addresses that can't be a Service's", holds: func(e *exchange) bool {
		return strings.HasPrefix(e.step.Path, serviceCIDRs.collection) && e.theirs.successful() && e.ours.invalid() &&
			all(e.ours.causes(), func(c cause) bool {
				return strings.HasPrefix(c.field, "spec.cidrs[") && strings.Contains(c.message, ": must not overlap ")
			})
	}},
	{line: "C16", what: "every range has addresses for Services: upstream never gets any from a block of two or of one",
		holds: func(e *exchange) bool {
			return e.step.Method == http.MethodPost && strings.Contains(asJSON(e.step.Body), "{tiny4}") && e.theirs.refusedAllocation() &&
				e.ours.successful()
		}},
	{line: "C14", what: "an object that doesn't fit its schema, or has a version that is none, is the client's mistake, not the server's",
		holds: func(e *exchange) bool {
			schema := e.ours.is(http.StatusBadRequest, "BadRequest") && e.ours.text("message") == e.theirs.text("message")
			version := e.ours.invalid() && all(e.ours.causes(), func(c cause) bool { return c.field == "metadata.resourceVersion" })
			return e.theirs.code == http.StatusInternalServerError && (schema || version)
		}},
	{line: "C18", what: "a strategic merge patch that drops a protocol of a port is warned of", holds: func(e *exchange) bool {
		dropped := func(text string) bool { return strings.Contains(text, " is no longer served over ") }
		rest := slices.DeleteFunc(slices.Clone(e.ours.warnings), dropped)
		return e.step.ContentType == strategic && len(rest) < len(e.ours.warnings) && slices.Equal(rest, e.theirs.warnings) &&
			e.onlyDiffers(func(d difference) bool {
				return strings.HasPrefix(d.path, "/warnings") || e.step.isDry() && isDry(d.ours) && isFake(d.theirs)
			})
	}},
	{line: "C19", what: "a port that is renamed keeps its node port", holds: func(e *exchange) bool {
		kept := false
		return e.theirs.successful() && e.ours.successful() && e.onlyDiffers(func(d difference) bool {
			keeps := isNodePort(d.path) && (isPort(d.theirs) || isFake(d.theirs)) && e.keepsNodePort(d.path)
			kept = kept || keeps
			// The other picks have other names then.
			return keeps || isPort(d.theirs) && isPort(d.ours) || isFake(d.theirs) && isDry(d.ours)
		}) && kept
	}},
	{line: "C20", what: "conditions, the ports of ingress points and of slices, and the load balancer's address are validated: upstream stores anything", holds: func(e *exchange) bool {
		return e.ours.invalid() && e.onlyMore(unvalidated)
	}},
	{line: "C21", what: "whoever may see the holder of a taken value is told who it is", holds: func(e *exchange) bool {
		return e.theirs.code == e.ours.code && sameCauses(e.theirs.causes(), e.ours.plainCauses()) &&
			holders.MatchString(e.ours.text("message")) &&
			e.theirs.text("message") == holders.ReplaceAllString(e.ours.text("message"), "already allocated") &&
			slices.Equal(e.theirs.warnings, e.ours.warnings)
	}},
	{line: "C26", what: "a Service takes its own EndpointSlices along, in one write: upstream leaves them to a garbage collector",
		holds: func(e *exchange) bool {
			return e.step.Method == http.MethodGet && strings.HasPrefix(e.step.Path, endpointSlices.collection) && e.theirs.successful() &&
				e.ours.is(http.StatusNotFound, "NotFound")
		}},
	{line: "C1", what: "a claim is written with its Service, in one write: it has the Service's version, and names it by its UID", same: true,
		holds: func(e *exchange) bool {
			return strings.HasPrefix(e.step.Path, ipAddresses.collection) && e.onlyDiffers(isOfClaim)
		}},
	{line: "C21", what: "the table of IPAddresses has a column for each cell", same: true, holds: func(e *exchange) bool {
		return e.step.Accept == asTable && strings.HasPrefix(e.step.Path, ipAddresses.collection) && e.onlyDiffers(func(d difference) bool {
			columns, ok := d.ours.([]any)
			return d.path == "/body/columnDefinitions" && ok && len(columns) == 3 || isOfClaim(d)
		})
	}},
	{line: "C23", what: "a range says how full it is", same: true, own: true, holds: func(e *exchange) bool {
		return strings.HasPrefix(e.step.Path, serviceCIDRs.collection) && e.onlyDiffers(func(d difference) bool {
			usage, ok := d.ours.([]any)
			return cidrUsage.MatchString(d.path) && d.theirs == absent{} && ok && len(usage) > 0
		})
	}},
	{line: "Ready", what: "a ServiceCIDR is ready, and says so, as soon as it is there: upstream leaves that to a controller", same: true,
		holds: func(e *exchange) bool {
			return strings.Contains(e.step.Path, serviceCIDRs.collection) && e.onlyDiffers(func(d difference) bool {
				more, ok := d.ours.([]any)
				return ok && (cidrUsage.MatchString(d.path) && d.theirs == absent{} && len(more) > 0 ||
					cidrReady.MatchString(d.path) && addsReady(d.theirs, more))
			})
		}},
	{line: "C23", what: "the table of ServiceCIDRs says how full they are", same: true, own: true, holds: func(e *exchange) bool {
		return e.step.Accept == asTable && strings.HasPrefix(e.step.Path, serviceCIDRs.collection) && e.onlyDiffers(func(d difference) bool {
			return d.path == "/body/columnDefinitions" || cidrCells.MatchString(d.path) || cidrUsage.MatchString(d.path)
		})
	}},
	{line: "1.37", what: "the column of CIDRs is described in the words of that release", same: true, core: true,
		holds: func(e *exchange) bool {
			return e.step.Accept == asTable && strings.HasPrefix(e.step.Path, serviceCIDRs.collection) && e.onlyDiffers(func(d difference) bool {
				return d.path == "/body/columnDefinitions/1/description" && strings.EqualFold(fmt.Sprint(d.theirs), fmt.Sprint(d.ours))
			})
		}},
	{line: "1.37", what: "a patch that is none is told so before anything else", holds: func(e *exchange) bool {
		return e.step.Method == http.MethodPatch && e.ours.is(http.StatusBadRequest, "BadRequest") &&
			malformedPatch.MatchString(e.ours.text("message")) &&
			(e.theirs.is(http.StatusNotFound, "NotFound") ||
				e.theirs.is(http.StatusBadRequest, "BadRequest") && malformedBefore.MatchString(e.theirs.text("message")))
	}},
	{line: "1.37", what: "the API machinery tells better what is wrong with metadata", holds: func(e *exchange) bool {
		ownersOrFinalizers := func(c cause) bool {
			return strings.HasPrefix(c.field, "metadata.ownerReferences") || strings.HasPrefix(c.field, "metadata.finalizers")
		}
		return e.theirs.invalid() && e.ours.invalid() && all(e.theirs.causes(), ownersOrFinalizers) && all(e.ours.causes(), ownersOrFinalizers)
	}},
	{line: "Secrets", core: true, what: "a patch that makes no Secret is refused without what the Secret would have held: upstream shows all of it", holds: func(e *exchange) bool {
		return strings.HasPrefix(e.step.Path, secrets.collection) && e.step.Method == http.MethodPatch && e.theirs.invalid() &&
			e.ours.invalid() &&
			all(e.theirs.causes(), ofPatch) && all(e.ours.causes(), func(c cause) bool {
			return ofPatch(c) && strings.HasPrefix(c.message, `Invalid value: "<secret contents redacted>": `)
		})
	}},
}

var (
	// holders are named after what upstream says as well.
	holders      = regexp.MustCompile(`already allocated by [a-z.]+/[a-zA-Z0-9./:-]+`)
	cidrUsage    = regexp.MustCompile(`^/body/(items/\d+/|rows/\d+/object/)?status/cidrs$`)
	cidrReady    = regexp.MustCompile(`^/body/(items/\d+/|rows/\d+/object/)?status/conditions$`)
	cidrCells    = regexp.MustCompile(`^/body/rows/\d+/cells$`)
	heldBy       = regexp.MustCompile(`the address is held by services/[a-z0-9-]+/[a-z0-9-]+: `)
	twoAddresses = regexp.MustCompile(`^Invalid value: \["[^"]*","[^"]*"\]: failed to allocate IP `)
	// The words for a patch that is none, of 1.37 and of 1.36.
	malformedPatch  = regexp.MustCompile(`^(invalid JSON patch|error decoding patch: error (converting YAML to JSON|unmarshaling JSON): .*|error encoding patch: yaml: .*)$`)
	malformedBefore = regexp.MustCompile(`^(error decoding patch: |error decoding YAML: error (converting YAML to JSON|unmarshaling JSON): .*)?(unexpected end of JSON input)?$`)
	slicePort       = regexp.MustCompile(`^ports\[\d+\]\.port$`)
	ingressPort     = regexp.MustCompile(`^status\.loadBalancer\.ingress\[\d+\]\.ports\[\d+\]`)
)

func nodePortOfExternalName(c cause) bool {
	return ofNodePorts(c) && c.message == "Forbidden: may not be used when `type` is 'ExternalName'"
}

// unvalidated says whether a cause is of what upstream takes anything for.
func unvalidated(c cause) bool {
	return strings.HasPrefix(c.field, "status.conditions") || ingressPort.MatchString(c.field) || slicePort.MatchString(c.field) ||
		c.field == "spec.loadBalancerIP"
}

func ofNodePorts(c cause) bool {
	return strings.HasPrefix(c.field, "spec.ports[") && strings.HasSuffix(c.field, "].nodePort")
}

func ofPatch(c cause) bool { return c.field == "patch" }

func ofClusterIPs(c cause) bool { return c.field == "spec.clusterIPs" }

// allocation says whether a cause is that a value can't be had.
func allocation(c cause) bool {
	return strings.Contains(c.message, "failed to allocate IP") || strings.Contains(c.message, "provided port is ")
}

// isOfClaim says whether a difference is that a claim was written with its
// Service.
func isOfClaim(d difference) bool {
	switch {
	case strings.HasSuffix(d.path, "/metadata/managedFields"):
		return d.ours == absent{}
	case strings.HasPrefix(d.path, "/body/rows/") && strings.HasSuffix(d.path, "/metadata/resourceVersion"):
		return true
	case strings.HasSuffix(d.path, "/spec/parentRef/uid"):
		return d.theirs == absent{} && strings.HasPrefix(fmt.Sprint(d.ours), "UID")
	}
	return false
}

// full says whether a refusal names the range that is full.
func full(a *answer) bool {
	return a.invalid() && all(a.causes(), func(c cause) bool {
		return (ofClusterIPs(c) || ofNodePorts(c) || c.field == "spec.healthCheckNodePort") &&
			strings.Contains(c.message, ": range is full: kubernetes (")
	})
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

// addsReady says whether conditions are theirs, and that a range can be used.
func addsReady(theirs any, ours []any) bool {
	before, _ := theirs.([]any)
	if len(ours) != len(before)+1 || !slices.EqualFunc(before, ours[:len(before)], func(a, b any) bool { return reflect.DeepEqual(a, b) }) {
		return false
	}
	fields, ok := ours[len(before)].(map[string]any)
	return ok && fields["type"] == "Ready" && fields["status"] == "True" && fields["message"] == "Kubernetes Service CIDR is ready"
}
