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

// apiServiceName is the APIService of the group.
const apiServiceName = "v1." + v1.GroupName

// injection begins the annotations that have cert-manager write the caBundle
// (cert-manager pkg/apis/certmanager/v1).
const injection = "cert-manager.io/inject-"

// none is why the caBundle isn't written of an APIService that is not there. One
// may come.
const none = "there is none"

// registration is what the APIService says of how its server is verified.
type registration struct {
	// err is why it could not be read, nil if it was, or if there is none.
	err             error
	resourceVersion string
	caBundle        []byte
	// notOurs is why the caBundle is not written, empty if it is.
	notOurs string
}

// register reads an APIService. Failing to is not the end of anything, so the
// error is kept.
func register(ctx context.Context, client dynamic.Interface, namespace, service string) registration {
	object, err := client.Resource(apiServices).Get(ctx, apiServiceName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return registration{notOurs: none}
	case err != nil:
		return registration{err: err}
	}
	return read(object, namespace, service)
}

func read(object *unstructured.Unstructured, namespace, service string) registration {
	r := registration{resourceVersion: object.GetResourceVersion()}
	field := func(fields ...string) string {
		value, _, _ := unstructured.NestedString(object.Object, append([]string{"spec"}, fields...)...)
		return value
	}
	if r.caBundle, r.err = base64.StdEncoding.DecodeString(field("caBundle")); r.err != nil {
		return r
	}
	for annotation := range object.GetAnnotations() {
		if strings.HasPrefix(annotation, injection) {
			r.notOurs = "its annotation " + annotation + " leaves it to cert-manager"
		}
	}
	if skip, _, _ := unstructured.NestedBool(object.Object, "spec", "insecureSkipTLSVerify"); skip {
		r.notOurs = "it sets insecureSkipTLSVerify"
	}
	if ns, name := field("service", "namespace"), field("service", "name"); ns != namespace || name != service {
		r.notOurs = fmt.Sprintf("its Service is %s/%s and not %s/%s", ns, name, namespace, service)
	}
	return r
}

// trusts says whether kube-apiserver is known to trust an authority. Where it
// isn't for the Keeper to see to that, it is taken for granted.
func (r registration) trusts(authority *x509.Certificate) bool {
	if r.err != nil {
		return false
	}
	if r.notOurs != "" {
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

// patch is what makes the APIService trust the authorities, nil if it does or
// isn't to be written.
func (r registration) patch(authorities []byte) ([]byte, error) {
	if r.err != nil || r.notOurs != "" || bytes.Equal(r.caBundle, authorities) {
		return nil, r.err
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": r.resourceVersion},
		"spec":     map[string]any{"caBundle": authorities},
	})
}

// publish writes authorities to the APIService unless it has them. The error is
// a Conflict if it was changed since it was read.
func (r registration) publish(ctx context.Context, client dynamic.Interface, authorities []byte) (written bool, err error) {
	patch, err := r.patch(authorities)
	if patch == nil || err != nil {
		return false, err
	}
	_, err = client.Resource(apiServices).Patch(ctx, apiServiceName, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: "portolan"})
	return err == nil, err
}
