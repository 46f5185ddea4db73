package server

import (
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	authorizers "k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/utils/clock"
)

// healthPaths are all that a caller may read who does not say who he is.
var healthPaths = []string{"/healthz", "/livez", "/readyz"}

// applyAuth sets up who is known and what they may do: holders of client
// certificates of the given authorities are known, system:masters may do
// everything, and everybody may ask after the server's health.
func applyAuth(config *genericapiserver.Config, caFile, clientCAFile string) error {
	var authorities []dynamiccertificates.CAContentProvider
	for name, file := range map[string]string{"own-ca": caFile, "client-ca": clientCAFile} {
		if file == "" {
			continue
		}
		authority, err := dynamiccertificates.NewDynamicCAContentFromFile(name, file)
		if err != nil {
			return err
		}
		authorities = append(authorities, authority)
	}
	clientCAs := dynamiccertificates.NewUnionCAContentProvider(authorities...)
	if err := config.Authentication.ApplyClientCert(clientCAs, config.SecureServing); err != nil {
		return err
	}

	certificates, definitions, err := authenticatorfactory.DelegatingAuthenticatorConfig{
		ClientCertificateCAContentProvider: clientCAs,
	}.New()
	if err != nil {
		return err
	}
	var healthOnly []apiserver.AnonymousAuthCondition
	for _, p := range healthPaths {
		healthOnly = append(healthOnly, apiserver.AnonymousAuthCondition{Path: p})
	}
	config.Authentication.Authenticator = union.NewFailOnError(
		rememberCertificates(certificates, clock.RealClock{}), anonymous.NewAuthenticator(healthOnly))
	if config.OpenAPIConfig != nil {
		config.OpenAPIConfig.SecurityDefinitions = definitions
	}

	health, err := path.NewAuthorizer(healthPaths)
	if err != nil {
		return err
	}
	config.Authorization.Authorizer, err = authorizers.New(
		authorizers.NamedAuthorizer{AuthorizerName: "PrivilegedGroups", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		authorizers.NamedAuthorizer{AuthorizerName: "HealthPaths", Authorizer: health},
	)
	return err
}
