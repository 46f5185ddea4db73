package upgrade

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const encryption = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: ["*.portolan.dev"]
  providers:
  - secretbox:
      keys:
      - name: first
        secret: cG9ydG9sYW4tcG9ydG9sYW4tcG9ydG9sYW4tMTIzNDU=
  - identity: {}
`

// TestUpdatesThatChangeNothing migrates like Kubernetes' storage version
// migration: it updates every object without a change.
func TestUpdatesThatChangeNothing(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(config, []byte(encryption), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			store := framework.StartEtcd(t)
			n := v.replay(t, store.Client)
			server := framework.Start(t, func(o *options.Options) {
				framework.On(store)(o)
				o.ServeCore = ptr.To(false)
				o.Etcd.EncryptionProviderConfigFilepath = config
			})
			writeBack(t, server)
			all, err := store.Client.Get(t.Context(), keyPrefix, clientv3.WithPrefix())
			if err != nil {
				t.Fatal(err)
			}
			for _, kv := range all.Kvs {
				if string(kv.Key) != formatKey && !bytes.HasPrefix(kv.Value, []byte("k8s:enc:secretbox:v1:first:")) {
					t.Errorf("%s is stored as %.20q", kv.Key, kv.Value)
				}
			}
			migrate(t, n, 0, "--etcd-servers="+store.URL, "--encryption-provider-config="+config)
			v.expectServed(t, server)

			writeBack(t, server)
			again, err := store.Client.Get(t.Context(), keyPrefix, clientv3.WithPrefix(), clientv3.WithMinModRev(all.Header.Revision+1))
			if err != nil || len(again.Kvs) > 0 {
				t.Errorf("what is up to date was written again: %v, %v", again.Kvs, err)
			}
			if stdout, _, err := framework.Command(t, "verify", "--etcd-servers="+store.URL, "--encryption-provider-config="+config); err != nil {
				t.Errorf("verify: %v\n%s", err, stdout)
			}
		})
	}
}

func writeBack(t *testing.T, server *framework.Server) {
	t.Helper()
	for _, one := range listAll(t, server.Config) {
		if _, err := on(t, server.Config, one).Update(t.Context(), one.Object, metav1.UpdateOptions{}); err != nil {
			t.Errorf("%s: %v", one.name(), err)
		}
	}
}
