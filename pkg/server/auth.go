package server

import (
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	"k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
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

	anonymous := &apiserver.AnonymousAuthConfig{Enabled: true}
	for _, p := range healthPaths {
		anonymous.Conditions = append(anonymous.Conditions, apiserver.AnonymousAuthCondition{Path: p})
	}
	authenticator, definitions, err := authenticatorfactory.DelegatingAuthenticatorConfig{
		Anonymous:                          anonymous,
		ClientCertificateCAContentProvider: clientCAs,
	}.New()
	if err != nil {
		return err
	}
	config.Authentication.Authenticator = authenticator
	if config.OpenAPIConfig != nil {
		config.OpenAPIConfig.SecurityDefinitions = definitions
	}

	health, err := path.NewAuthorizer(healthPaths)
	if err != nil {
		return err
	}
	config.Authorization.Authorizer, err = union.New(
		union.NamedAuthorizer{AuthorizerName: "PrivilegedGroups", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		union.NamedAuthorizer{AuthorizerName: "HealthPaths", Authorizer: health},
	)
	return err
}
