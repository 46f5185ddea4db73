package preflight

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// checkRanges looks for addresses that both the server and the cluster hand out. Clusters
// before 1.33 do not serve their ranges.
func (c Config) checkRanges(ctx context.Context) error {
	theirs, err := rangesOf(ctx, c.Client)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case apierrors.IsForbidden(err):
		return finding("the user of --kubeconfig may not list servicecidrs.networking.k8s.io, so that ranges which are the cluster's as well " +
			"are not found: grant it that right")
	case err != nil:
		return err
	}
	ours, err := rangesOf(ctx, c.Own)
	if err != nil {
		return err
	}
	if both := overlaps(ours, theirs); len(both) > 0 {
		return finding(fmt.Sprintf("the cluster hands out addresses of these ranges too: %s. Two Services will get the same address, unless "+
			"nobody creates Services in the cluster past the gateway. Give one of the two another range: create a ServiceCIDR and delete this one, "+
			"or start with an empty store and --service-cluster-ip-range", strings.Join(both, ", ")))
	}
	return nil
}

type namedRange struct {
	name   string
	prefix netip.Prefix
}

func rangesOf(ctx context.Context, client kubernetes.Interface) ([]namedRange, error) {
	list, err := client.NetworkingV1().ServiceCIDRs().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var ranges []namedRange
	for _, cidr := range list.Items {
		for _, text := range cidr.Spec.CIDRs {
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fmt.Errorf("ServiceCIDR %s: %w", cidr.Name, err)
			}
			ranges = append(ranges, namedRange{cidr.Name, prefix})
		}
	}
	return ranges, nil
}

// overlaps describes which of our ranges overlap with which of theirs.
func overlaps(ours, theirs []namedRange) []string {
	var both []string
	for _, own := range ours {
		for _, other := range theirs {
			if own.prefix.Overlaps(other.prefix) {
				both = append(both, fmt.Sprintf("%s of the ServiceCIDR %s, and the cluster's %s of %s", own.prefix, own.name, other.prefix, other.name))
			}
		}
	}
	return both
}
