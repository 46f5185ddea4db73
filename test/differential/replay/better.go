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

// better describes requests that Portolan answers differently from upstream on
// purpose.
type better struct {
	// line is the line in the list of upstream's defects, or the release whose
	// API machinery Portolan is built from.
	line string
	// what says what is better, and why.
	what string
	// holds reports whether an exchange is such a request, upstream's answer
	// has the defect, and Portolan's does not.
	holds func(e *exchange) bool
	// same says that both servers hold the same object afterwards, although one
	// shows more of it.
	same bool
	// own says that only the group portolan.dev differs, core that only the
	// core API groups do.
	own, core bool
}

// exceptions returns the exceptions that apply to the core API groups, or to
// portolan.dev.
func exceptions(core bool) []better {
	return slices.DeleteFunc(slices.Clone(allExceptions), func(b better) bool { return core && b.own || !core && b.core })
}

// allExceptions lists the exceptions of both. The first that holds counts.
var allExceptions = []better{
	{line: "C2", what: "a write to the status of a missing Service returns 404: upstream creates the Service, with any addresses",
		holds: func(e *exchange) bool {
			return e.onStatus() && e.ours.is(http.StatusNotFound, "NotFound") && (e.step.Method == http.MethodPut || e.step.ContentType == apply) &&
				(e.theirs.code == http.StatusCreated || all(e.theirs.causes(), func(c cause) bool { return c.message == "Required value" }))
		}},
	{line: "C3", what: "an ExternalName Service cannot name node ports: upstream stores them unallocated, and frees another Service's when it deletes the Service", holds: func(e *exchange) bool {
		return e.ours.invalid() && e.onlyMore(nodePortOfExternalName, unvalidated)
	}},
	{line: "C5", what: "creating a name that exists returns 409 even if a value is taken: upstream allocates first",
		holds: func(e *exchange) bool {
			return e.step.Method == http.MethodPost && e.theirs.refusedAllocation() && e.ours.is(http.StatusConflict, "AlreadyExists")
		}},
	{line: "C13", what: "a missing or invalid name is reported: upstream reports an error about the address it allocated",
		holds: func(e *exchange) bool {
			return e.ours.invalid() && all(e.ours.causes(), func(c cause) bool { return c.field == "metadata.name" }) &&
				all(e.theirs.causes(), func(c cause) bool { return strings.Contains(c.message, "spec.parentRef.name") })
		}},
	{line: "C6", what: "a claim of a Service cannot be deleted or changed: upstream allows it and gives the address to another Service",
		holds: func(e *exchange) bool {
			return strings.Contains(e.step.Path, ipAddresses.collection) && e.ours.is(http.StatusConflict, "Conflict") &&
				heldBy.MatchString(e.ours.text("message")) &&
				(e.theirs.successful() || e.theirs.invalid())
		}},
	{line: "C6", what: "a range in use cannot be deleted: upstream leaves that to a controller",
		holds: func(e *exchange) bool {
			return e.step.Method == http.MethodDelete && strings.HasPrefix(e.step.Path, serviceCIDRs.collection) && e.theirs.successful() &&
				e.ours.is(http.StatusConflict, "Conflict") && strings.Contains(e.ours.text("message"), "services/")
		}},
	{line: "C7", what: "validation errors come before allocation errors: upstream allocates first",
		holds: func(e *exchange) bool {
			wrong := slices.DeleteFunc(e.ours.plainCauses(), allocation)
			return e.theirs.refusedAllocation() && e.ours.invalid() && len(wrong) > 0 &&
				e.onlyMore(func(c cause) bool { return slices.Contains(wrong, c) }) ||
				e.theirs.refusedAllocation() && e.ours.invalid() && len(wrong) > 0 && len(wrong) == len(e.ours.causes())
		}},
	{line: "C7", what: "a node port outside all ranges is reported before one that is taken, because that needs no look-up",
		holds: func(e *exchange) bool {
			return e.theirs.refusedAllocation() && e.ours.invalid() && all(e.theirs.causes(), ofNodePorts) &&
				all(e.ours.causes(), func(c cause) bool { return ofNodePorts(c) && strings.Contains(c.message, "not in the valid range") })
		}},
	{line: "C7", what: "a duplicate port causes no error about its duplicate node port: upstream allocates before it validates",
		holds: func(e *exchange) bool {
			twice := func(c cause) bool {
				return ofNodePorts(c) &&
					(strings.HasPrefix(c.message, "Duplicate value: PORT") || strings.HasPrefix(c.message, "Duplicate value: FAKE"))
			}
			return e.ours.invalid() && e.theirs.invalid() && slices.ContainsFunc(e.theirs.causes(), twice) &&
				sameCauses(slices.DeleteFunc(e.theirs.causes(), twice), e.ours.causes())
		}},
	{line: "C7", what: "an allocation error comes with the warnings about deprecated fields: upstream allocates first", holds: func(e *exchange) bool {
		return e.theirs.refusedAllocation() && e.theirs.code == e.ours.code && sameCauses(e.theirs.causes(), e.ours.plainCauses()) &&
			len(e.theirs.warnings) == 0 && len(e.ours.warnings) > 0
	}},
	{line: "C8", what: "of two unavailable addresses the first is reported: upstream allocates in random order, and leaks the ones it got", holds: func(e *exchange) bool {
		ours, theirs := e.ours.causes(), e.theirs.causes()
		return e.theirs.refusedAllocation() && e.ours.invalid() && all(theirs, ofClusterIPs) && all(ours, ofClusterIPs) &&
			all(ours, allocation) &&
			twoAddresses.MatchString(theirs[0].message)
	}},
	{line: "C9", what: "a dry run returns available values: upstream returns the network address, and ports outside all ranges",
		holds: func(e *exchange) bool {
			return e.step.isDry() && e.theirs.successful() && e.ours.successful() && e.onlyDiffers(func(d difference) bool {
				return isDry(d.ours) && (isFake(d.theirs) || isNodePort(d.path))
			})
		}},
	{line: "C9", what: "a dry run fails when the real request would: upstream does not check whether an address is taken or a port is in range", holds: func(e *exchange) bool {
		return e.step.isDry() && e.ours.invalid() && all(e.ours.causes(), allocation) && (e.theirs.successful() || e.theirs.refusedAllocation() ||
			all(e.theirs.causes(), func(c cause) bool { return c.field == "spec.healthCheckNodePort" }))
	}},
	{line: "C10", what: "an update cannot give an ExternalName Service an address either: upstream checks only clusterIPs, which older clients omit", holds: func(e *exchange) bool {
		return e.ours.invalid() && e.onlyMore(func(c cause) bool {
			return ofClusterIPs(c) && c.message == "Forbidden: may not be set for ExternalName services"
		})
	}},
	{line: "C10", what: "two protocols can share a node port on create: upstream allows it only on update",
		holds: func(e *exchange) bool {
			return e.theirs.refusedAllocation() && e.ours.successful() && all(e.theirs.causes(), ofNodePorts)
		}},
	{line: "C10", what: "an added port shares the node port of its other protocol: upstream does so only in a new Service",
		holds: func(e *exchange) bool {
			return e.theirs.successful() && e.ours.successful() && e.onlyDiffers(func(d difference) bool {
				return isNodePort(d.path) && (isPort(d.theirs) || e.step.isDry()) && e.ours.sharesNodePort(d.path)
			})
		}},
	{line: "C12", what: "the status subresource shows the same Service: upstream shows defaults that an ExternalName Service does not have", holds: func(e *exchange) bool {
		return e.step.Method == http.MethodGet && e.onStatus() && e.onlyDiffers(func(d difference) bool {
			return d.path == "/body/spec/internalTrafficPolicy" && d.ours == absent{}
		})
	}},
	{line: "C14", what: "an unavailable health check node port is a client error, not a 500", holds: func(e *exchange) bool {
		_, why, found := strings.Cut(e.theirs.text("message"), "failed to allocate requested HealthCheck NodePort ")
		_, why, _ = strings.Cut(why, ": ")
		return found && e.theirs.code == http.StatusInternalServerError && e.ours.invalid() &&
			slices.ContainsFunc(e.ours.plainCauses(), func(c cause) bool {
				return c.field == "spec.healthCheckNodePort" && strings.HasSuffix(c.message, why)
			})
	}},
	{line: "C14", what: "a node port that is named twice is a client error, not a 500", holds: func(e *exchange) bool {
		return e.theirs.code == http.StatusInternalServerError && strings.HasPrefix(e.theirs.text("message"), "duplicate nodePort: ") &&
			e.ours.invalid()
	}},
	{line: "C14", what: "a full range is no internal server error", holds: func(e *exchange) bool {
		return full(&e.ours) && (e.theirs.code == http.StatusInternalServerError &&
			strings.HasSuffix(e.theirs.text("message"), "range is full") ||
			e.theirs.successful() && e.step.isDry())
	}},
	{line: "C16", what: "a range with addresses that Services cannot have is invalid", holds: func(e *exchange) bool {
		return strings.HasPrefix(e.step.Path, serviceCIDRs.collection) && e.theirs.successful() && e.ours.invalid() &&
			all(e.ours.causes(), func(c cause) bool {
				return strings.HasPrefix(c.field, "spec.cidrs[") && strings.Contains(c.message, ": must not overlap ")
			})
	}},
	{line: "C16", what: "every range provides addresses: upstream never allocates from a block of one or two",
		holds: func(e *exchange) bool {
			return e.step.Method == http.MethodPost && strings.Contains(asJSON(e.step.Body), "{tiny4}") && e.theirs.refusedAllocation() &&
				e.ours.successful()
		}},
	{line: "C14", what: "an object that does not match its schema or has an invalid resource version is a client error, not a 500",
		holds: func(e *exchange) bool {
			schema := e.ours.is(http.StatusBadRequest, "BadRequest") && e.ours.text("message") == e.theirs.text("message")
			version := e.ours.invalid() && all(e.ours.causes(), func(c cause) bool { return c.field == "metadata.resourceVersion" })
			return e.theirs.code == http.StatusInternalServerError && (schema || version)
		}},
	{line: "C18", what: "a strategic merge patch that drops a protocol of a port causes a warning", holds: func(e *exchange) bool {
		dropped := func(text string) bool { return strings.Contains(text, " is no longer served over ") }
		rest := slices.DeleteFunc(slices.Clone(e.ours.warnings), dropped)
		return e.step.ContentType == strategic && len(rest) < len(e.ours.warnings) && slices.Equal(rest, e.theirs.warnings) &&
			e.onlyDiffers(func(d difference) bool {
				return strings.HasPrefix(d.path, "/warnings") || e.step.isDry() && isDry(d.ours) && isFake(d.theirs)
			})
	}},
	{line: "C19", what: "a renamed port keeps its node port", holds: func(e *exchange) bool {
		kept := false
		return e.theirs.successful() && e.ours.successful() && e.onlyDiffers(func(d difference) bool {
			keeps := isNodePort(d.path) && (isPort(d.theirs) || isFake(d.theirs)) && e.keepsNodePort(d.path)
			kept = kept || keeps
			// The remaining picks have other names then.
			return keeps || isPort(d.theirs) && isPort(d.ours) || isFake(d.theirs) && isDry(d.ours)
		}) && kept
	}},
	{line: "C20", what: "conditions, the ports of ingress points and of slices, and the load balancer's address are validated: upstream stores anything", holds: func(e *exchange) bool {
		return e.ours.invalid() && e.onlyMore(unvalidated)
	}},
	{line: "C21", what: "an error about a taken value names its holder, if the user may read it", holds: func(e *exchange) bool {
		return e.theirs.code == e.ours.code && sameCauses(e.theirs.causes(), e.ours.plainCauses()) &&
			holders.MatchString(e.ours.text("message")) &&
			e.theirs.text("message") == holders.ReplaceAllString(e.ours.text("message"), "already allocated") &&
			slices.Equal(e.theirs.warnings, e.ours.warnings)
	}},
	{line: "C26", what: "deleting a Service deletes its EndpointSlices in the same write: upstream leaves them to the garbage collector",
		holds: func(e *exchange) bool {
			return e.step.Method == http.MethodGet && strings.HasPrefix(e.step.Path, endpointSlices.collection) && e.theirs.successful() &&
				e.ours.is(http.StatusNotFound, "NotFound")
		}},
	{line: "C1", what: "a claim is written together with its Service: it has the Service's version and refers to its UID", same: true,
		holds: func(e *exchange) bool {
			return strings.HasPrefix(e.step.Path, ipAddresses.collection) && e.onlyDiffers(isOfClaim)
		}},
	{line: "C21", what: "the table of IPAddresses has a column for each cell", same: true, core: true, holds: func(e *exchange) bool {
		return e.step.Accept == asTable && strings.HasPrefix(e.step.Path, ipAddresses.collection) && e.onlyDiffers(func(d difference) bool {
			columns, ok := d.ours.([]any)
			return d.path == "/body/columnDefinitions" && ok && len(columns) == 3 || isOfClaim(d)
		})
	}},
	{line: "C21", what: "the table of IPAddresses shows reservations", same: true, own: true, holds: func(e *exchange) bool {
		return e.step.Accept == asTable && strings.HasPrefix(e.step.Path, ipAddresses.collection) && e.onlyDiffers(func(d difference) bool {
			return d.path == "/body/columnDefinitions" || tableCells.MatchString(d.path) || isOfClaim(d)
		})
	}},
	{line: "C23", what: "the status of a range shows its usage", same: true, own: true, holds: func(e *exchange) bool {
		return strings.HasPrefix(e.step.Path, serviceCIDRs.collection) && e.onlyDiffers(func(d difference) bool {
			usage, ok := d.ours.([]any)
			return cidrUsage.MatchString(d.path) && d.theirs == absent{} && ok && len(usage) > 0
		})
	}},
	{line: "Ready", what: "a ServiceCIDR is ready once it is created: upstream leaves that to a controller", same: true,
		holds: func(e *exchange) bool {
			return strings.Contains(e.step.Path, serviceCIDRs.collection) && e.onlyDiffers(func(d difference) bool {
				more, ok := d.ours.([]any)
				return ok && (cidrUsage.MatchString(d.path) && d.theirs == absent{} && len(more) > 0 ||
					cidrReady.MatchString(d.path) && addsReady(d.theirs, more))
			})
		}},
	{line: "C23", what: "the table of ServiceCIDRs shows their usage", same: true, own: true, holds: func(e *exchange) bool {
		return e.step.Accept == asTable && strings.HasPrefix(e.step.Path, serviceCIDRs.collection) && e.onlyDiffers(func(d difference) bool {
			return d.path == "/body/columnDefinitions" || tableCells.MatchString(d.path) || cidrUsage.MatchString(d.path)
		})
	}},
	{line: "1.37", what: "the description of the CIDRs column is that of the release", same: true, core: true,
		holds: func(e *exchange) bool {
			return e.step.Accept == asTable && strings.HasPrefix(e.step.Path, serviceCIDRs.collection) && e.onlyDiffers(func(d difference) bool {
				return d.path == "/body/columnDefinitions/1/description" && strings.EqualFold(fmt.Sprint(d.theirs), fmt.Sprint(d.ours))
			})
		}},
	{line: "1.37", what: "a malformed patch is rejected before anything else is checked", holds: func(e *exchange) bool {
		return e.step.Method == http.MethodPatch && e.ours.is(http.StatusBadRequest, "BadRequest") &&
			malformedPatch.MatchString(e.ours.text("message")) &&
			(e.theirs.is(http.StatusNotFound, "NotFound") ||
				e.theirs.is(http.StatusBadRequest, "BadRequest") && malformedBefore.MatchString(e.theirs.text("message")))
	}},
	{line: "1.37", what: "the API machinery's errors about metadata are better", holds: func(e *exchange) bool {
		ownersOrFinalizers := func(c cause) bool {
			return strings.HasPrefix(c.field, "metadata.ownerReferences") || strings.HasPrefix(c.field, "metadata.finalizers")
		}
		return e.theirs.invalid() && e.ours.invalid() && all(e.theirs.causes(), ownersOrFinalizers) && all(e.ours.causes(), ownersOrFinalizers)
	}},
	{line: "1.37", core: true, what: "a condition without a status lacks it: upstream calls it unsupported", holds: func(e *exchange) bool {
		others := func(causes []cause) []cause {
			return slices.DeleteFunc(slices.Clone(causes), func(c cause) bool { return statusOfCondition.MatchString(c.field) })
		}
		theirs, ours := e.theirs.causes(), e.ours.causes()
		return e.theirs.invalid() && e.ours.invalid() && len(theirs) == len(ours) && len(others(ours)) < len(ours) &&
			slices.Equal(others(theirs), others(ours))
	}},
	{line: "1.37", core: true, same: true, what: "a write whose fields have no unique keys keeps the managers of the others: upstream forgets all of them",
		holds: func(e *exchange) bool {
			return e.theirs.successful() && e.onlyDiffers(func(d difference) bool {
				return strings.HasSuffix(d.path, "/metadata/managedFields") && d.theirs == absent{}
			})
		}},
	{line: "Pods", core: true, same: true, what: "deleting a Pod is one write: upstream writes that it is about to be deleted first",
		holds: func(e *exchange) bool {
			return e.step.Method == http.MethodDelete && strings.HasPrefix(e.step.Path, pods.collection) && e.theirs.successful() &&
				e.ours.successful() &&
				e.onlyDiffers(func(d difference) bool {
					return d.ours == absent{} && strings.HasSuffix(d.path, "/metadata/deletionTimestamp") ||
						d.ours == absent{} && strings.HasSuffix(d.path, "/metadata/deletionGracePeriodSeconds") ||
						strings.HasSuffix(d.path, "/metadata/generation")
				})
		}},
	{line: "Pods", core: true, same: true, what: "a warning lists the fields that are stored without validation",
		holds: func(e *exchange) bool {
			own := func(text string) bool { return strings.HasPrefix(text, "stored without validation") }
			rest := slices.DeleteFunc(slices.Clone(e.ours.warnings), own)
			return strings.HasPrefix(e.step.Path, pods.collection) && len(rest) < len(e.ours.warnings) && slices.Equal(rest, e.theirs.warnings) &&
				e.onlyDiffers(func(d difference) bool { return strings.HasPrefix(d.path, "/warnings") })
		}},
	{line: "Secrets", core: true, what: "the error about a patch that yields an invalid Secret hides the Secret's data: upstream shows all of it", holds: func(e *exchange) bool {
		return strings.HasPrefix(e.step.Path, secrets.collection) && e.step.Method == http.MethodPatch && e.theirs.invalid() &&
			e.ours.invalid() &&
			all(e.theirs.causes(), ofPatch) && all(e.ours.causes(), func(c cause) bool {
			return ofPatch(c) && strings.HasPrefix(c.message, `Invalid value: "<secret contents redacted>": `)
		})
	}},
}

var (
	// holders match the part of a message that upstream has as well, and the
	// holder.
	holders      = regexp.MustCompile(`already allocated by [a-z.]+/[a-zA-Z0-9./:-]+`)
	cidrUsage    = regexp.MustCompile(`^/body/(items/\d+/|rows/\d+/object/)?status/cidrs$`)
	cidrReady    = regexp.MustCompile(`^/body/(items/\d+/|rows/\d+/object/)?status/conditions$`)
	tableCells   = regexp.MustCompile(`^/body/rows/\d+/cells$`)
	heldBy       = regexp.MustCompile(`the address is held by services/[a-z0-9-]+/[a-z0-9-]+: `)
	twoAddresses = regexp.MustCompile(`^Invalid value: \["[^"]*","[^"]*"\]: failed to allocate IP `)
	// The messages about a malformed patch, of 1.37 and of 1.36.
	malformedPatch    = regexp.MustCompile(`^(invalid JSON patch|error decoding patch: error (converting YAML to JSON|unmarshaling JSON): .*|error encoding patch: yaml: .*)$`)
	malformedBefore   = regexp.MustCompile(`^(error decoding patch: |error decoding YAML: error (converting YAML to JSON|unmarshaling JSON): .*)?(unexpected end of JSON input)?$`)
	statusOfCondition = regexp.MustCompile(`^status\.conditions\[\d+\]\.status$`)
	slicePort         = regexp.MustCompile(`^ports\[\d+\]\.port$`)
	ingressPort       = regexp.MustCompile(`^status\.loadBalancer\.ingress\[\d+\]\.ports\[\d+\]`)
)

func nodePortOfExternalName(c cause) bool {
	return ofNodePorts(c) && c.message == "Forbidden: may not be used when `type` is 'ExternalName'"
}

// unvalidated reports whether a cause is about a field that upstream does not
// validate.
func unvalidated(c cause) bool {
	return strings.HasPrefix(c.field, "status.conditions") || ingressPort.MatchString(c.field) || slicePort.MatchString(c.field) ||
		c.field == "spec.loadBalancerIP"
}

func ofNodePorts(c cause) bool {
	return strings.HasPrefix(c.field, "spec.ports[") && strings.HasSuffix(c.field, "].nodePort")
}

func ofPatch(c cause) bool { return c.field == "patch" }

func ofClusterIPs(c cause) bool { return c.field == "spec.clusterIPs" }

// allocation reports whether a cause is that a value cannot be allocated.
func allocation(c cause) bool {
	return strings.Contains(c.message, "failed to allocate IP") || strings.Contains(c.message, "provided port is ")
}

// isOfClaim reports whether a difference exists because a claim was written
// together with its Service.
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

// full reports whether an answer names the range that is full.
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

// addsReady reports whether the conditions are upstream's and one more, Ready.
func addsReady(theirs any, ours []any) bool {
	before, _ := theirs.([]any)
	if len(ours) != len(before)+1 || !slices.EqualFunc(before, ours[:len(before)], func(a, b any) bool { return reflect.DeepEqual(a, b) }) {
		return false
	}
	fields, ok := ours[len(before)].(map[string]any)
	return ok && fields["type"] == "Ready" && fields["status"] == "True" && fields["message"] == "Kubernetes Service CIDR is ready"
}
