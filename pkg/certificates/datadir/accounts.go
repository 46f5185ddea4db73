package datadir

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/client-go/util/keyutil"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

// accountFiles returns the names of the files in a directory with the key that signs the
// tokens of ServiceAccounts, and with its public key.
func accountFiles(pkiDir string) (private, public string) {
	return filepath.Join(pkiDir, "service-accounts.key"), filepath.Join(pkiDir, "service-accounts.pub")
}

// ensureAccountKey creates the key that signs the tokens of ServiceAccounts if there is none,
// and returns its file. The public key is for other servers, and always that of the key.
func ensureAccountKey(pkiDir string) (string, error) {
	privateFile, publicFile := accountFiles(pkiDir)
	encoded, err := os.ReadFile(privateFile)
	if errors.Is(err, fs.ErrNotExist) {
		encoded, err = createKey(privateFile)
	}
	if err != nil {
		return "", err
	}
	key, err := certificates.ParseKey(encoded)
	if err != nil {
		return "", fmt.Errorf("%s: %w", privateFile, err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("%s: %w", privateFile, err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: keyutil.PublicKeyBlockType, Bytes: der})
	if current, err := os.ReadFile(publicFile); err == nil && string(current) == string(public) {
		return privateFile, nil
	}
	return privateFile, write(publicFile, public, 0o644)
}

func createKey(file string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	encoded, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, err
	}
	return encoded, write(file, encoded, 0o600)
}
