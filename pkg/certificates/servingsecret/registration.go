package servingsecret

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	certutil "k8s.io/client-go/util/cert"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// apiServiceName is the name of the group's APIService.
const apiServiceName = "v1." + v1.GroupName

// injectionPrefix is the prefix of the annotations that make cert-manager write the
// caBundle (cert-manager pkg/apis/certmanager/v1).
const injectionPrefix = "cert-manager.io/inject-"

// noAPIService is the skipReason if there is no APIService. It may be created later.
const noAPIService = "there is none"

// registration holds the fields of the APIService with which its server is verified.
type registration struct {
	// err is the error of reading the APIService. It is nil if there is none.
	err             error
	resourceVersion string
	caBundle        []byte
	// skipReason is why the caBundle is not written. It is empty if it is written.
	skipReason string
}

// readRegistration reads the APIService. It returns errors in the registration,
// because the caller can go on without the APIService.
func readRegistration(ctx context.Context, client dynamic.Interface, namespace, service string) registration {
	object, err := client.Resource(apiServices).Get(ctx, apiServiceName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return registration{skipReason: noAPIService}
	case err != nil:
		return registration{err: err}
	}
	return parseRegistration(object, namespace, service)
}

func parseRegistration(object *unstructured.Unstructured, namespace, service string) registration {
	r := registration{resourceVersion: object.GetResourceVersion()}
	field := func(fields ...string) string {
		value, _, _ := unstructured.NestedString(object.Object, append([]string{"spec"}, fields...)...)
		return value
	}
	if r.caBundle, r.err = base64.StdEncoding.DecodeString(field("caBundle")); r.err != nil {
		return r
	}
	for annotation := range object.GetAnnotations() {
		if strings.HasPrefix(annotation, injectionPrefix) {
			r.skipReason = "its annotation " + annotation + " leaves it to cert-manager"
		}
	}
	if skip, _, _ := unstructured.NestedBool(object.Object, "spec", "insecureSkipTLSVerify"); skip {
		r.skipReason = "it sets insecureSkipTLSVerify"
	}
	if ns, name := field("service", "namespace"), field("service", "name"); ns != namespace || name != service {
		r.skipReason = fmt.Sprintf("its Service is %s/%s, not %s/%s", ns, name, namespace, service)
	}
	return r
}

// trusts reports whether kube-apiserver is known to trust an authority. It assumes so
// if the Keeper doesn't write the APIService.
func (r registration) trusts(authority *x509.Certificate) bool {
	if r.err != nil {
		return false
	}
	if r.skipReason != "" {
		return true
	}
	certs, err := certutil.ParseCertsPEM(r.caBundle)
	if err != nil {
		return false
	}
	for _, cert := range certs {
		if cert.Equal(authority) {
			return true
		}
	}
	return false
}

// patch returns the patch that writes the authorities to the APIService. It returns
// nil if the APIService has them or isn't written.
func (r registration) patch(authorities []byte) ([]byte, error) {
	if r.err != nil || r.skipReason != "" || bytes.Equal(r.caBundle, authorities) {
		return nil, r.err
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": r.resourceVersion},
		"spec":     map[string]any{"caBundle": authorities},
	})
}

// publish writes authorities to the APIService unless it has them. It returns a
// Conflict if the APIService has changed since it was read.
func (r registration) publish(ctx context.Context, client dynamic.Interface, authorities []byte) (written bool, err error) {
	patch, err := r.patch(authorities)
	if patch == nil || err != nil {
		return false, err
	}
	_, err = client.Resource(apiServices).Patch(ctx, apiServiceName, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: "portolan"})
	return err == nil, err
}
