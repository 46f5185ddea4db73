package rules

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// at makes an address with an optional target of the given UID.
func at(ip string, uid ...types.UID) corev1.EndpointAddress {
	address := corev1.EndpointAddress{IP: ip}
	if len(uid) > 0 {
		address.TargetRef = &corev1.ObjectReference{Kind: "Pod", UID: uid[0]}
	}
	return address
}

func addresses(list ...corev1.EndpointAddress) []corev1.EndpointAddress { return list }

func tcp(name string, number int32) corev1.EndpointPort {
	return corev1.EndpointPort{Name: name, Port: number, Protocol: corev1.ProtocolTCP}
}

func ports(list ...corev1.EndpointPort) []corev1.EndpointPort { return list }

type repackTest struct{ subsets, want []corev1.EndpointSubset }

func repackTests() map[string]repackTest {
	http, https := tcp("http", 80), tcp("https", 443)
	grpc := corev1.EndpointPort{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, AppProtocol: ptr.To("kubernetes.io/h2c")}
	sameGRPC := grpc
	sameGRPC.AppProtocol = ptr.To("kubernetes.io/h2c")
	return map[string]repackTest{
		"nothing": {},
		"a subset without addresses": {
			subsets: []corev1.EndpointSubset{{Ports: ports(http)}},
		},
		"no ports": {
			subsets: []corev1.EndpointSubset{{Addresses: addresses(at("10.0.0.2"))}, {Addresses: addresses(at("10.0.0.1"))}},
			want:    []corev1.EndpointSubset{{Addresses: addresses(at("10.0.0.1"), at("10.0.0.2"))}},
		},
		"one subset for each Pod and port": {
			subsets: []corev1.EndpointSubset{
				{Addresses: addresses(at("10.0.0.2", "b")), Ports: ports(https)},
				{Addresses: addresses(at("10.0.0.2", "b")), Ports: ports(http)},
				{Addresses: addresses(at("10.0.0.1", "a")), Ports: ports(http)},
				{Addresses: addresses(at("10.0.0.1", "a")), Ports: ports(https)},
			},
			want: []corev1.EndpointSubset{{Addresses: addresses(at("10.0.0.1", "a"), at("10.0.0.2", "b")), Ports: ports(http, https)}},
		},
		"different ports": {
			subsets: []corev1.EndpointSubset{
				{Addresses: addresses(at("10.0.0.1"), at("10.0.0.2")), Ports: ports(https)},
				{Addresses: addresses(at("10.0.0.1")), Ports: ports(http)},
			},
			want: []corev1.EndpointSubset{
				{Addresses: addresses(at("10.0.0.1")), Ports: ports(http)},
				{Addresses: addresses(at("10.0.0.1"), at("10.0.0.2")), Ports: ports(https)},
			},
		},
		"not ready wins, whatever comes first": {
			subsets: []corev1.EndpointSubset{
				{NotReadyAddresses: addresses(at("10.0.0.1")), Ports: ports(http)},
				{Addresses: addresses(at("10.0.0.1")), Ports: ports(http)},
				{Addresses: addresses(at("10.0.0.2")), NotReadyAddresses: addresses(at("10.0.0.2")), Ports: ports(http)},
			},
			want: []corev1.EndpointSubset{{NotReadyAddresses: addresses(at("10.0.0.1"), at("10.0.0.2")), Ports: ports(http)}},
		},
		"ready for one port and not for another": {
			subsets: []corev1.EndpointSubset{
				{Addresses: addresses(at("10.0.0.1")), Ports: ports(http)},
				{NotReadyAddresses: addresses(at("10.0.0.1")), Ports: ports(https)},
			},
			want: []corev1.EndpointSubset{
				{Addresses: addresses(at("10.0.0.1")), Ports: ports(http)},
				{NotReadyAddresses: addresses(at("10.0.0.1")), Ports: ports(https)},
			},
		},
		"one address of several targets, and of none": {
			subsets: []corev1.EndpointSubset{{Addresses: addresses(at("10.0.0.1", "b"), at("10.0.0.1", "a"), at("10.0.0.1")), Ports: ports(http)}},
			want:    []corev1.EndpointSubset{{Addresses: addresses(at("10.0.0.1"), at("10.0.0.1", "a"), at("10.0.0.1", "b")), Ports: ports(http)}},
		},
		"the first of the same addresses is kept": {
			subsets: []corev1.EndpointSubset{
				{Addresses: addresses(corev1.EndpointAddress{IP: "10.0.0.1", Hostname: "first"}), Ports: ports(http)},
				{Addresses: addresses(corev1.EndpointAddress{IP: "10.0.0.1", Hostname: "second"}), Ports: ports(https)},
			},
			want: []corev1.EndpointSubset{
				{Addresses: addresses(corev1.EndpointAddress{IP: "10.0.0.1", Hostname: "first"}), Ports: ports(http, https)},
			},
		},
		"ports are compared by value": {
			subsets: []corev1.EndpointSubset{
				{Addresses: addresses(at("10.0.0.1")), Ports: ports(grpc)},
				{Addresses: addresses(at("10.0.0.2")), Ports: ports(sameGRPC, http)},
			},
			want: []corev1.EndpointSubset{
				{Addresses: addresses(at("10.0.0.2")), Ports: ports(http)},
				{Addresses: addresses(at("10.0.0.1"), at("10.0.0.2")), Ports: ports(grpc)},
			},
		},
	}
}

func TestRepack(t *testing.T) {
	for name, test := range repackTests() {
		t.Run(name, func(t *testing.T) {
			if got := Repack(test.subsets); !ignoringVersions.DeepEqual(got, test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
		})
	}
}

// fact records that an address offers a port. If isPort is false, it offers none.
type fact struct {
	address addressKey
	port    portKey
}

// facts returns all facts of subsets, and whether the address is ready for the port.
func facts(subsets []corev1.EndpointSubset) map[fact]bool {
	said := map[fact]bool{}
	say := func(address corev1.EndpointAddress, port portKey, ready bool) {
		f := fact{addressKey{address.IP, targetUID(address)}, port}
		if was, known := said[f]; known {
			ready = ready && was
		}
		said[f] = ready
	}
	for _, subset := range subsets {
		keys := []portKey{}
		for _, p := range subset.Ports {
			keys = append(keys, portKey{true, p.Name, string(p.Protocol), p.Port, p.AppProtocol != nil, ptr.Deref(p.AppProtocol, "")})
		}
		for _, port := range keys {
			for _, address := range subset.Addresses {
				say(address, port, true)
			}
			for _, address := range subset.NotReadyAddresses {
				say(address, port, false)
			}
		}
	}
	return said
}

func addressKeys(subsets []corev1.EndpointSubset) map[addressKey]bool {
	keys := map[addressKey]bool{}
	for _, subset := range subsets {
		for _, list := range [][]corev1.EndpointAddress{subset.Addresses, subset.NotReadyAddresses} {
			for _, address := range list {
				keys[addressKey{address.IP, targetUID(address)}] = true
			}
		}
	}
	return keys
}

// someSubsets generates subsets from few values, so that collisions are frequent.
func someSubsets(random *rand.Rand) []corev1.EndpointSubset {
	address := func() corev1.EndpointAddress {
		ip := fmt.Sprintf("10.0.0.%d", random.IntN(4))
		if random.IntN(3) == 0 {
			return at(ip)
		}
		return at(ip, types.UID("abc"[random.IntN(3)]))
	}
	subsets := make([]corev1.EndpointSubset, random.IntN(5))
	for i := range subsets {
		for range random.IntN(3) {
			subsets[i].Addresses = append(subsets[i].Addresses, address())
		}
		for range random.IntN(3) {
			subsets[i].NotReadyAddresses = append(subsets[i].NotReadyAddresses, address())
		}
		for range random.IntN(3) {
			port := tcp([]string{"", "http", "https"}[random.IntN(3)], int32(80+random.IntN(2)))
			if random.IntN(4) == 0 {
				port.AppProtocol = ptr.To([]string{"", "h2c"}[random.IntN(2)])
			}
			subsets[i].Ports = append(subsets[i].Ports, port)
		}
	}
	return subsets
}

func FuzzRepack(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, seed))
		subsets := someSubsets(random)
		packed := Repack(subsets)
		if got, want := facts(packed), facts(subsets); !reflect.DeepEqual(got, want) {
			t.Fatalf("repacking changes the facts:\n%v\nof %v\nis %v", got, subsets, packed)
		}
		if got, want := addressKeys(packed), addressKeys(subsets); !reflect.DeepEqual(got, want) {
			t.Fatalf("repacking loses addresses:\n%v\nof %v\nare %v", want, subsets, got)
		}
		if again := Repack(packed); !reflect.DeepEqual(again, packed) {
			t.Fatalf("repacking again changes\n%v to\n%v", packed, again)
		}
		random.Shuffle(len(subsets), func(i, j int) { subsets[i], subsets[j] = subsets[j], subsets[i] })
		for i := range subsets {
			list := subsets[i].Addresses
			random.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
			ports := subsets[i].Ports
			random.Shuffle(len(ports), func(a, b int) { ports[a], ports[b] = ports[b], ports[a] })
		}
		if shuffled := Repack(subsets); !reflect.DeepEqual(shuffled, packed) {
			t.Fatalf("the order makes a difference:\n%v\n%v", packed, shuffled)
		}
	})
}
