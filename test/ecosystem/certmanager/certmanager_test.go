// Package certmanager checks what cert-manager is given against its own types.
package certmanager

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	utilyaml "sigs.k8s.io/yaml"
)

const root = "../../.."

// TestTypes wants Issuers and Certificates to have no field that cert-manager
// doesn't know, and each Certificate to be renewed well before it expires.
func TestTypes(t *testing.T) {
	types := runtime.NewScheme()
	if err := certmanagerv1.AddToScheme(types); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(types, serializer.EnableStrict).UniversalDeserializer()
	issuers, certificates := 0, 0
	for _, document := range render(t) {
		var kind metav1.TypeMeta
		if err := utilyaml.Unmarshal(document, &kind); err != nil {
			t.Fatal(err)
		}
		if kind.GroupVersionKind().Group != certmanagerv1.SchemeGroupVersion.Group {
			continue
		}
		obj, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Errorf("%v:\n%s", err, document)
			continue
		}
		switch obj := obj.(type) {
		case *certmanagerv1.Issuer:
			issuers++
		case *certmanagerv1.Certificate:
			certificates++
			check(t, obj)
		}
	}
	if issuers != 4 || certificates != 6 {
		t.Errorf("%d issuers and %d certificates were found", issuers, certificates)
	}
}

func check(t *testing.T, certificate *certmanagerv1.Certificate) {
	t.Helper()
	spec := certificate.Spec
	if spec.SecretName != certificate.Name || spec.Duration == nil || spec.PrivateKey == nil {
		t.Errorf("%s: %+v", certificate.Name, spec)
		return
	}
	// Where nothing is said it is renewed when a third of its time is left.
	if before := spec.RenewBefore; before != nil && (*before).Duration*2 > spec.Duration.Duration {
		t.Errorf("%s is good for %v and renewed %v before that is over", certificate.Name, spec.Duration, before)
	}
	// An authority that keeps its key goes on to be trusted by those who have the
	// certificate that it had before.
	if keeps := spec.PrivateKey.RotationPolicy == certmanagerv1.RotationPolicyNever; keeps != spec.IsCA {
		t.Errorf("%s: that it keeps its key is %v", certificate.Name, keeps)
	}
}

// render renders all that is for cert-manager.
func render(t *testing.T) [][]byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(root, ".bin", "kubectl"), "kustomize",
		filepath.Join(root, "artifacts", "cluster", "cert-manager")).Output()
	if err != nil {
		t.Fatalf("%v: does make test run this, which builds kubectl?", err)
	}
	var documents [][]byte
	for reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(out))); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents
		}
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, document)
	}
}
