package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// A forwarded request names the gateway in the header Via (RFC 9110, 7.6.3). A request that
// names it already has come back.
const (
	via = "Via"
	hop = "1.1 portolan"
)

// ErrLoop means that requests to the cluster's API server come back to the gateway.
var ErrLoop = errors.New("the address of the cluster's API server leads to the gateway itself")

func addHop(header http.Header) { header.Add(via, hop) }

func cameBack(header http.Header) bool {
	return slices.ContainsFunc(header.Values(via), func(value string) bool { return strings.Contains(value, hop) })
}

func loopStatus() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusLoopDetected, Reason: "LoopDetected",
		Message: ErrLoop.Error() + ": --kubeconfig must name kube-apiserver's own address",
	}}
}

// CheckLoop returns ErrLoop if a request to the cluster's API server comes back to a
// gateway, and another error if there is no answer.
func CheckLoop(ctx context.Context, cluster *rest.Config) error {
	config := withoutCredentials(cluster)
	config.Timeout = checkTimeout
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	location, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return fmt.Errorf("the cluster's address: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location.JoinPath("version").String(), nil)
	if err != nil {
		return err
	}
	addHop(req.Header)
	response, err := client.Do(req)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusLoopDetected {
		return ErrLoop
	}
	return nil
}
