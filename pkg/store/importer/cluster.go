package importer

import (
	"context"
	"fmt"
	"io"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
)

// pageSize limits how many objects kube-apiserver returns at once.
const pageSize = 500

// FromCluster reads a cluster through its API, all kinds at the revision of the first page.
// kube-apiserver does not show its bitmap of node ports.
func FromCluster(ctx context.Context, client kubernetes.Interface, out io.Writer) (*Contents, error) {
	c := &Contents{}
	r := &clusterReader{progress: newProgress(out, "read", 0)}
	core, discovery, networking := client.CoreV1(), client.DiscoveryV1(), client.NetworkingV1()
	for _, read := range []func() error{
		func() error {
			return readAll(ctx, r, "services", core.Services("").List, func(l *corev1.ServiceList) { c.Services = append(c.Services, l.Items...) })
		},
		func() error {
			return readAll(ctx, r, "endpoints", core.Endpoints("").List, func(l *corev1.EndpointsList) {
				c.Endpoints = append(c.Endpoints, l.Items...)
			})
		},
		func() error {
			return readAll(ctx, r, "endpointslices", discovery.EndpointSlices("").List, func(l *discoveryv1.EndpointSliceList) {
				c.EndpointSlices = append(c.EndpointSlices, l.Items...)
			})
		},
		func() error {
			return readAll(ctx, r, "ipaddresses", networking.IPAddresses().List, func(l *networkingv1.IPAddressList) {
				c.IPAddresses = append(c.IPAddresses, l.Items...)
			})
		},
		func() error {
			return readAll(ctx, r, "servicecidrs", networking.ServiceCIDRs().List, func(l *networkingv1.ServiceCIDRList) {
				c.ServiceCIDRs = append(c.ServiceCIDRs, l.Items...)
			})
		},
		func() error {
			return readAll(ctx, r, "namespaces", core.Namespaces().List, func(l *corev1.NamespaceList) {
				c.Namespaces = append(c.Namespaces, l.Items...)
			})
		},
	} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	r.progress.end()
	c.Revision = r.revision
	return c, nil
}

type clusterReader struct {
	progress *progress
	// revision is that of the first page, at which all others are read.
	revision int64
}

// readAll reads a kind page by page. A cluster that does not serve the kind has none.
func readAll[L interface {
	runtime.Object
	metav1.ListInterface
}](ctx context.Context, r *clusterReader, resource string, list func(context.Context, metav1.ListOptions) (L, error), add func(L)) error {
	options := metav1.ListOptions{Limit: pageSize}
	if r.revision != 0 {
		options.ResourceVersion = strconv.FormatInt(r.revision, 10)
		options.ResourceVersionMatch = metav1.ResourceVersionMatchExact
	}
	for {
		page, err := list(ctx, options)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
			return fmt.Errorf("%s: revision %d was compacted while the cluster was being read: import again, or from a snapshot",
				resource, r.revision)
		case err != nil:
			return fmt.Errorf("reading %s: %w", resource, err)
		}
		before := r.progress.total
		add(page)
		if r.revision == 0 {
			if r.revision, err = strconv.ParseInt(page.GetResourceVersion(), 10, 64); err != nil {
				return fmt.Errorf("reading %s: the resource version: %w", resource, err)
			}
		}
		read := meta.LenList(page)
		left := 0
		if remaining := page.GetRemainingItemCount(); remaining != nil {
			left = int(*remaining)
		}
		r.progress.total = max(before, r.progress.done+read+left)
		r.progress.add(read)
		if page.GetContinue() == "" {
			return nil
		}
		options = metav1.ListOptions{Limit: pageSize, Continue: page.GetContinue()}
	}
}
