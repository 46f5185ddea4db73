package auth

import (
	"context"
	"crypto"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"

	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/serviceaccount"
)

// addAccounts adds the tokens of ServiceAccounts, which the key in a file signs. The server's
// own audience is that of its tokens.
func (s *userSources) addAccounts(config *genericapiserver.Config, o *options.Options, keyFile string) error {
	issuer, err := newIssuer(o, keyFile)
	if err != nil {
		return fmt.Errorf("tokens of ServiceAccounts: %w", err)
	}
	get, err := objectsOf(config.LoopbackClientConfig)
	if err != nil {
		return err
	}
	s.issuer = issuer
	s.tokens = append(s.tokens, serviceaccount.NewAuthenticator(issuer, get, time.Now))
	config.Authentication.APIAudiences = issuer.Audiences()
	return nil
}

func newIssuer(o *options.Options, keyFile string) (*serviceaccount.Issuer, error) {
	encoded, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	signing, err := certificates.ParseKey(encoded)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	var trusted []crypto.PublicKey
	for _, file := range o.Users.ServiceAccountKeys {
		keys, err := keyutil.PublicKeysFromFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, key := range keys {
			trusted = append(trusted, key)
		}
	}
	return serviceaccount.NewIssuer(o.Users.ServiceAccountIssuer, signing, trusted...)
}

// objectsOf reads the metadata of the server's own objects, always the current one: the
// bearer of a token that was just issued is known, and that of a deleted account is not.
// Authenticated tokens are cached.
func objectsOf(loopback *rest.Config) (serviceaccount.Getter, error) {
	config := rest.CopyConfig(loopback)
	config.QPS = -1
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, resource, namespace, name string) (metav1.Object, error) {
		version := corev1.SchemeGroupVersion.WithResource(resource)
		return client.Resource(version).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	}, nil
}
