package datadir

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/util/keyutil"
)

// TestAccountKeyOfAnother wants the public key to follow a key that somebody has put there,
// such as the one of another server.
func TestAccountKeyOfAnother(t *testing.T) {
	dir := t.TempDir()
	files := ensure(t, dir, localhost, time.Now())
	before := contents(t, dir)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: keyutil.RSAPrivateKeyBlockType, Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(files.AccountKey, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	ensure(t, dir, localhost, time.Now())
	checkChanged(t, before, contents(t, dir), "pki/service-accounts")
	public, err := keyutil.PublicKeysFromFile(filepath.Join(dir, "pki", "service-accounts.pub"))
	if err != nil || len(public) != 1 || !key.PublicKey.Equal(public[0]) {
		t.Errorf("the public key is %v, error %v", public, err)
	}
}
