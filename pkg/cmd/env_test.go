package cmd

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned/fake"
)

// TestEnvMasterService uses a fake server that doesn't return the master service;
// test/integration/api uses a real one.
func TestEnvMasterService(t *testing.T) {
	t.Parallel()
	services := corev1.Resource("services")
	for name, test := range map[string]struct {
		err      error
		wantErr  bool
		wantNote string
	}{
		"not there": {apierrors.NewNotFound(services, "kubernetes"), false, ""},
		"forbidden": {apierrors.NewForbidden(services, "kubernetes", nil), false, "Left out: services \"kubernetes\" is forbidden"},
		"down":      {apierrors.NewServiceUnavailable("down"), true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := fake.NewClientset(&v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "web"}})
			client.PrependReactor("get", "services", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, test.err })
			var note strings.Builder
			o := envOptions{}
			got, err := o.services(t.Context(), client, "team", &note)
			if (err != nil) != test.wantErr || !strings.HasPrefix(note.String(), test.wantNote) || (test.wantNote == "") != (note.Len() == 0) {
				t.Errorf("error %v, and prints %q", err, note.String())
			}
			if err == nil && (len(got) != 1 || got[0].Name != "web") {
				t.Errorf("got %v", got)
			}
		})
	}
}
