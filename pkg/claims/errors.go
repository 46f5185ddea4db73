package claims

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.etcd.io/etcd/client/v3/kubernetes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/apigroup"
	"github.com/portolan-dev/portolan/pkg/txn"
)

var errNotPicked = errors.New("the value was not picked for this request")

// takenError says that a value is somebody else's, and whose if the caller may
// know. The text begins as upstream's does, which tools match on.
type takenError struct {
	holder string
}

func (e *takenError) Error() string {
	if e.holder == "" {
		return "already allocated"
	}
	return "already allocated by " + e.holder
}

// outOfRangeError says that no usable range has the value.
type outOfRangeError struct {
	value allocation.Value
}

func (e *outOfRangeError) Error() string {
	return fmt.Sprintf("%s lies in no usable range", e.value)
}

// refusal is the answer to a Service that asks for a value it can't have: a 422
// with the field and the text of upstream's allocators. What was picked for the
// client, who never wrote it, is left out of what the error shows.
func (w *write) refusal(svc *v1.Service, cause *field.Error) error {
	if shown, ok := cause.BadValue.([]string); ok {
		shown = slices.Clone(shown)
		for i, text := range shown {
			addr, err := netip.ParseAddr(text)
			if err == nil && w.picks.Picked(allocation.Address(addr)) {
				shown[i] = ""
			}
		}
		cause.BadValue = shown
	}
	return apierrors.NewInvalid(w.kind, svc.Name, field.ErrorList{cause})
}

// FieldError words why a Service can't have a value that stands in its spec.
// The cause is an *allocation.FullError or an error of this package.
func FieldError(svc *v1.Service, value allocation.Value, cause error) *field.Error {
	if value.Class != allocation.Port {
		return field.Invalid(field.NewPath("spec", "clusterIPs"), svc.Spec.ClusterIPs, addressText(value, cause))
	}
	port := value.Number.Port()
	path := field.NewPath("spec", "healthCheckNodePort")
	for i := range svc.Spec.Ports {
		if svc.Spec.Ports[i].NodePort == port {
			path = field.NewPath("spec", "ports").Index(i).Child("nodePort")
			break
		}
	}
	return field.Invalid(path, port, PortText(cause))
}

func addressText(value allocation.Value, cause error) string {
	switch cause := cause.(type) {
	case *outOfRangeError:
		return fmt.Sprintf("failed to allocate IP %s: the provided network does not match the current range", value)
	case *allocation.FullError:
		return "failed to allocate a serviceIP: " + cause.Error()
	case *takenError:
		return fmt.Sprintf("failed to allocate IP %s: provided IP is %v", value, cause)
	}
	return fmt.Sprintf("failed to allocate IP %s: %v", value, cause)
}

// PortText words, as upstream does, why a port can't be had.
func PortText(cause error) string {
	switch cause := cause.(type) {
	case *outOfRangeError:
		return "provided port is not in the valid range"
	case *allocation.FullError:
		return "failed to allocate a nodePort: " + cause.Error()
	case *takenError:
		return "provided port is " + cause.Error()
	}
	return cause.Error()
}

// check says whether a value could be claimed by the Service, as far as this
// replica knows; nil where it could. The transaction decides.
func (l *Ledger) check(ctx context.Context, svc *v1.Service, value allocation.Value) *field.Error {
	claim, held := l.Index.Lookup(value)
	switch {
	case held && claim.UID != "" && claim.UID == string(svc.UID):
		return nil
	case held:
		return FieldError(svc, value, &takenError{holder: l.holder(ctx, value, claim)})
	}
	return l.CheckRange(svc, value)
}

// holder names who has a value: nobody, where the caller may not read the
// Service that holds it or, if it is reserved, the reservation.
func (l *Ledger) holder(ctx context.Context, value allocation.Value, claim allocation.Claim) string {
	read := Read{Resource: "ipaddresses", Name: value.String()}
	if value.Class == allocation.Port {
		read.Resource = "nodeports"
	}
	holder := claim.Holder
	if holder == "" {
		holder = read.Resource + "/" + read.Name
	}
	if claim.UID != "" {
		parts := strings.Split(holder, "/")
		read = Read{Resource: "services", Namespace: parts[len(parts)-2], Name: parts[len(parts)-1]}
	}
	if l.mayRead == nil || !l.mayRead(ctx, read) {
		return ""
	}
	return apigroup.Holder(ctx, holder)
}

// Refuses says whether the storage will refuse to create a Service: a plugin has
// something against it, or a value that the client named can't be claimed. Where
// that is what the index says, etcd is asked about the value, since another
// replica may have just released it; ranges are the index's to know.
func (l *Ledger) Refuses(ctx context.Context, svc *v1.Service) (bool, error) {
	picks := FromContext(ctx)
	if picks.Refused() != nil {
		return true, nil
	}
	for _, value := range Taken(svc, nil) {
		if picks.Picked(value) || l.check(ctx, svc, value) == nil {
			continue
		}
		found, err := l.client.Get(ctx, l.claims(value.Class).Key(value.String()), kubernetes.GetOptions{})
		if err != nil {
			return false, err
		}
		if err := l.learnClaim(ctx, value, found.KV, found.Revision); err != nil {
			return false, err
		}
		if l.check(ctx, svc, value) != nil {
			return true, nil
		}
	}
	return false, nil
}

// CheckRange says whether a value lies in a usable range; nil if it does.
func (l *Ledger) CheckRange(svc *v1.Service, value allocation.Value) *field.Error {
	if _, _, covered := l.Index.Covering(value); covered {
		return nil
	}
	return l.outOfRange(svc, value)
}

// outOfRange names the ranges there are, for ports in upstream's words.
func (l *Ledger) outOfRange(svc *v1.Service, value allocation.Value) *field.Error {
	err := FieldError(svc, value, &outOfRangeError{value: value})
	if value.Class == allocation.Port {
		var texts []string
		for _, usable := range l.Index.UsableRanges(allocation.Port) {
			texts = append(texts, usable.Text)
		}
		err.Detail += ". The range of valid ports is " + strings.Join(texts, ",")
	}
	return err
}

// interpret words what else a write can fail for.
func interpret(err error, last *attempt) error {
	var large *txn.TooLargeError
	if errors.As(err, &large) && large.Operations > 0 && last != nil {
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("service %q claims %d addresses and ports: %v",
			last.owner.Name, len(last.take)+len(last.release)+len(last.rewrite), large))
	}
	return err
}

// errContended asks the client to come back: others were quicker each time.
func errContended(svc *v1.Service) error {
	return apierrors.NewTooManyRequests(fmt.Sprintf(
		"what service %q claims was changed by others in each of %d attempts; try again", svc.Name, maxAttempts), 1)
}

// substitute puts one value into a Service's spec in the place of another.
func substitute(svc *v1.Service, old, replacement allocation.Value) {
	spec := &svc.Spec
	if old.Class == allocation.Port {
		for i := range spec.Ports {
			if spec.Ports[i].NodePort == old.Number.Port() {
				spec.Ports[i].NodePort = replacement.Number.Port()
			}
		}
		if spec.HealthCheckNodePort == old.Number.Port() {
			spec.HealthCheckNodePort = replacement.Number.Port()
		}
		return
	}
	for i, text := range spec.ClusterIPs {
		addr, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(text))
		if ok && allocation.Address(addr) == old {
			spec.ClusterIPs[i] = replacement.String()
		}
	}
	if len(spec.ClusterIPs) > 0 {
		spec.ClusterIP = spec.ClusterIPs[0]
	}
}
