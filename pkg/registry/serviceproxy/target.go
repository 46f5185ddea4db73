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

// target is what the name in a request's path says: name, name:port or
// scheme:name:port.
type target struct {
	scheme, service string
	// port is the name or the number of a port of the Service; a port without
	// a name has the name "".
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

// number is the port, where it is a number.
func (t target) number() (int64, bool) {
	number, err := strconv.ParseInt(t.port, 10, 64)
	return number, err == nil
}

// portName is the name of the Service's first port with a number.
func portName(service string, ports []corev1.ServicePort, number int64) (string, error) {
	for i := range ports {
		if int64(ports[i].Port) == number {
			return ports[i].Name, nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", number, service))
}

// candidates are the ready addresses that offer a port, each with its number,
// subset by subset from a random one on, and in each subset from a random
// address on. Random returns a number from 0 up to but not including its
// argument.
func candidates(subsets []corev1.EndpointSubset, port string, random func(int) int) iter.Seq2[*corev1.EndpointAddress, uint16] {
	return func(yield func(*corev1.EndpointAddress, uint16) bool) {
		for subset := range from(subsets, random) {
			for i := range subset.Ports {
				number := subset.Ports[i].Port
				if subset.Ports[i].Name != port || number < 1 || number > math.MaxUint16 {
					continue
				}
				for address := range from(subset.Addresses, random) {
					if !yield(address, uint16(number)) {
						return
					}
				}
			}
		}
	}
}

// from goes round a slice once, from a random element on.
func from[E any](all []E, random func(int) int) iter.Seq[*E] {
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
