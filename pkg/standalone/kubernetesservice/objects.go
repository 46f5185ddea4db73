package kubernetesservice

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const (
	// servicePort is the port that Pods use, whatever ports the servers listen on.
	servicePort     = 443
	servicePortName = "https"
)

// keepService returns the Service, which it creates if it is missing. The Service has
// the first address of the default range. Its target port is the port of the first
// server, because there is only one such field.
func (c Config) keepService(ctx context.Context, servers []netip.AddrPort) (*corev1.Service, error) {
	services := c.Client.CoreV1().Services(metav1.NamespaceDefault)
	target := c.Port
	if len(servers) > 0 {
		target = int(servers[0].Port())
	}
	ports := []corev1.ServicePort{{Name: servicePortName, Protocol: corev1.ProtocolTCP, Port: servicePort, TargetPort: intstr.FromInt(target)}}
	service, err := services.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		address, err := c.clusterIP(ctx)
		if err != nil {
			return nil, err
		}
		service, err := services.Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"}},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeClusterIP, ClusterIP: address, IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicySingleStack), Ports: ports,
			},
		}, metav1.CreateOptions{})
		if apierrors.IsInvalid(err) {
			err = fmt.Errorf("it needs the address %s: delete the Service or the IPAddress that has it, "+
				"or start the servers with --kubernetes-service=false: %w", address, err)
		}
		return service, err
	}
	if err != nil || equality.Semantic.DeepEqual(service.Spec.Ports, ports) {
		return service, err
	}
	service.Spec.Ports = ports
	return services.Update(ctx, service, metav1.UpdateOptions{})
}

func (c Config) clusterIP(ctx context.Context) (string, error) {
	cidr, err := c.Client.NetworkingV1().ServiceCIDRs().Get(ctx, v1.DefaultRangeName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	prefix, err := netip.ParsePrefix(cidr.Spec.CIDRs[0])
	if err != nil {
		return "", err
	}
	return prefix.Addr().Next().String(), nil
}

// subsetsOf returns a subset for each port. The servers must be sorted by port.
func subsetsOf(servers []netip.AddrPort) []corev1.EndpointSubset {
	var subsets []corev1.EndpointSubset
	for i, server := range servers {
		if i == 0 || server.Port() != servers[i-1].Port() {
			port := corev1.EndpointPort{Name: servicePortName, Port: int32(server.Port()), Protocol: corev1.ProtocolTCP}
			subsets = append(subsets, corev1.EndpointSubset{Ports: []corev1.EndpointPort{port}})
		}
		last := &subsets[len(subsets)-1]
		last.Addresses = append(last.Addresses, corev1.EndpointAddress{IP: server.Addr().String()})
	}
	return subsets
}

// keepEndpoints reads the stored Endpoints before it reads the servers. So it can't
// overwrite what another server wrote from a newer list of servers.
func (c Config) keepEndpoints(ctx context.Context, ipv4 bool) error {
	endpoints := c.Client.CoreV1().Endpoints(metav1.NamespaceDefault)
	stored, err := endpoints.Get(ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	servers, serversErr := c.servers(ctx)
	subsets := subsetsOf(ofFamily(servers, ipv4))
	if serversErr != nil || len(subsets) == 0 {
		return serversErr
	}
	if apierrors.IsNotFound(err) {
		// The EndpointSlices are written here as well, so nothing must mirror them.
		labels := map[string]string{discoveryv1.LabelSkipMirror: "true"}
		_, err = endpoints.Create(ctx, &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Subsets: subsets},
			metav1.CreateOptions{})
		return err
	}
	if equality.Semantic.DeepEqual(stored.Subsets, subsets) {
		return nil
	}
	stored.Subsets = subsets
	_, err = endpoints.Update(ctx, stored, metav1.UpdateOptions{})
	return err
}

// slicesOf returns a slice for each port. The first has the same name as a
// kube-apiserver's, the others have that name and their port.
func slicesOf(servers []netip.AddrPort, addressType discoveryv1.AddressType) []*discoveryv1.EndpointSlice {
	var wanted []*discoveryv1.EndpointSlice
	for _, subset := range subsetsOf(servers) {
		port := subset.Ports[0]
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			AddressType: addressType,
			Ports:       []discoveryv1.EndpointPort{{Name: ptr.To(port.Name), Port: ptr.To(port.Port), Protocol: ptr.To(port.Protocol)}},
		}
		if len(wanted) > 0 {
			slice.Name = fmt.Sprintf("%s-%d", name, port.Port)
			slice.Labels[discoveryv1.LabelManagedBy] = v1.GroupName
		}
		for _, address := range subset.Addresses {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{address.IP}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
			})
		}
		wanted = append(wanted, slice)
	}
	return wanted
}

// keepSlices reads the stored slices before the servers, as keepEndpoints does.
func (c Config) keepSlices(ctx context.Context, ipv4 bool) error {
	addressType := discoveryv1.AddressTypeIPv6
	if ipv4 {
		addressType = discoveryv1.AddressTypeIPv4
	}
	endpointSlices := c.Client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	list, err := endpointSlices.List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
	if err != nil {
		return err
	}
	stored := map[string]*discoveryv1.EndpointSlice{}
	for i := range list.Items {
		stored[list.Items[i].Name] = &list.Items[i]
	}
	servers, err := c.servers(ctx)
	if servers = ofFamily(servers, ipv4); err != nil || len(servers) == 0 {
		return err
	}
	var errs []error
	for _, wanted := range slicesOf(servers, addressType) {
		errs = append(errs, c.keepSlice(ctx, stored[wanted.Name], wanted))
		delete(stored, wanted.Name)
	}
	for _, slice := range stored {
		if slice.Labels[discoveryv1.LabelManagedBy] == v1.GroupName {
			errs = append(errs, c.deleteSlice(ctx, slice))
		}
	}
	return errors.Join(errs...)
}

func (c Config) deleteSlice(ctx context.Context, slice *discoveryv1.EndpointSlice) error {
	unchanged := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &slice.ResourceVersion}}
	err := c.Client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Delete(ctx, slice.Name, unchanged)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (c Config) keepSlice(ctx context.Context, stored, wanted *discoveryv1.EndpointSlice) error {
	endpointSlices := c.Client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	if stored != nil && stored.AddressType != wanted.AddressType {
		// The type of a slice can't be changed.
		if err := c.deleteSlice(ctx, stored); err != nil {
			return err
		}
		stored = nil
	}
	if stored == nil {
		_, err := endpointSlices.Create(ctx, wanted, metav1.CreateOptions{})
		return err
	}
	if equality.Semantic.DeepEqual(stored.Endpoints, wanted.Endpoints) && equality.Semantic.DeepEqual(stored.Ports, wanted.Ports) {
		return nil
	}
	stored.Endpoints, stored.Ports = wanted.Endpoints, wanted.Ports
	_, err := endpointSlices.Update(ctx, stored, metav1.UpdateOptions{})
	return err
}
