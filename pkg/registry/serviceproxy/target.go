package serviceproxy

import (
	"fmt"
	"iter"
	"math"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// target is the parsed name in a request's path: name, name:port or scheme:name:port.
type target struct {
	scheme, service string
	// port is the name or number of a port of the Service. An unnamed port has the
	// name "".
	port string
}

func parseTarget(id string) (target, error) {
	scheme, service, port, ok := utilnet.SplitSchemeNamePort(id)
	if !ok {
		return target{}, apierrors.NewBadRequest(fmt.Sprintf("invalid service request %q", id))
	}
	if scheme == "" {
		scheme = "http"
	}
	return target{scheme: scheme, service: service, port: port}, nil
}

// number returns the port if it is a number.
func (t target) number() (int64, bool) {
	number, err := strconv.ParseInt(t.port, 10, 64)
	return number, err == nil
}

// portName returns the name of the Service's first port with the given number.
func portName(service string, ports []corev1.ServicePort, number int64) (string, error) {
	for i := range ports {
		if int64(ports[i].Port) == number {
			return ports[i].Name, nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", number, service))
}

// candidates yields the ready addresses that offer a port, each with the port's number.
// It starts at a random subset, and in each subset at a random address. Random returns a
// number in [0, n).
func candidates(subsets []corev1.EndpointSubset, port string, random func(int) int) iter.Seq2[*corev1.EndpointAddress, uint16] {
	return func(yield func(*corev1.EndpointAddress, uint16) bool) {
		for subset := range rotate(subsets, random) {
			for i := range subset.Ports {
				number := subset.Ports[i].Port
				if subset.Ports[i].Name != port || number < 1 || number > math.MaxUint16 {
					continue
				}
				for address := range rotate(subset.Addresses, random) {
					if !yield(address, uint16(number)) {
						return
					}
				}
			}
		}
	}
}

// rotate yields all elements of a slice, starting at a random one.
func rotate[E any](all []E, random func(int) int) iter.Seq[*E] {
	return func(yield func(*E) bool) {
		if len(all) == 0 {
			return
		}
		first := random(len(all))
		for i := range all {
			if !yield(&all[(first+i)%len(all)]) {
				return
			}
		}
	}
}
