package users

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInvalidFiles expects an error at startup that says what is wrong in a file.
func TestInvalidFiles(t *testing.T) {
	const (
		head    = "apiVersion: apiserver.config.k8s.io/v1\nkind: "
		authn   = head + "AuthenticationConfiguration\n"
		authz   = head + "AuthorizationConfiguration\n"
		webhook = authz + "authorizers: [{type: Webhook, name: hook, webhook: {timeout: 1s, authorizedTTL: 1s, unauthorizedTTL: 1s, " +
			"subjectAccessReviewVersion: v1, failurePolicy: Deny, "
	)
	whoIs := func(ctx context.Context, file string) error {
		_, err := NewAuthentication(ctx, file, "https://kubernetes.default.svc", "id")
		return err
	}
	mayDo := func(ctx context.Context, file string) error {
		_, err := NewAuthorization(ctx, file, "id", NewGroups(nil))
		return err
	}
	for name, test := range map[string]struct {
		read          func(context.Context, string) error
		content, want string
	}{
		"no users":         {whoIs, authn, ""},
		"an empty file":    {whoIs, "", "Object 'Kind' is missing"},
		"another kind":     {whoIs, authz, "expected AuthenticationConfiguration, got *apiserver.AuthorizationConfiguration"},
		"an unknown field": {whoIs, authn + "jwts: []\n", `unknown field "jwts"`},
		"an issuer of http": {whoIs, authn +
			"jwt: [{issuer: {url: 'http://x', audiences: [a]}, claimMappings: {username: {expression: claims.sub}}}]\n",
			"jwt[0].issuer.url: Invalid value: \"http://x\": URL scheme must be https"},
		"the server's own issuer": {whoIs, authn +
			"jwt: [{issuer: {url: 'https://kubernetes.default.svc', audiences: [a]}, claimMappings: {username: {expression: claims.sub}}}]\n",
			"jwt[0].issuer.url: Invalid value: \"https://kubernetes.default.svc\": URL must not overlap with disallowed issuers"},
		"bad CEL": {whoIs, authn +
			"jwt: [{issuer: {url: 'https://x', audiences: [a]}, claimMappings: {username: {expression: 'claims.'}}}]\n",
			"jwt[0].claimMappings.username.expression: Invalid value"},
		"groups":            {mayDo, authz + "authorizers: [{type: Groups, name: g}]\n", ""},
		"no file's content": {mayDo, " \n", "empty config data"},
		"no authorizers":    {mayDo, authz, "authorizers: Required value"},
		"RBAC": {mayDo, authz + "authorizers: [{type: RBAC, name: rbac}]\n",
			`authorizers[0].type: Unsupported value: "RBAC": supported values: "Groups", "Webhook"`},
		"groups twice": {
			mayDo, authz + "authorizers: [{type: Groups, name: a}, {type: Groups, name: b}]\n", "authorizers[1].type: Duplicate value",
		},
		"a webhook in a Pod": {mayDo, webhook + "connectionInfo: {type: InClusterConfig}}}]\n",
			`authorizers[0].webhook.connectionInfo.type: Unsupported value: "InClusterConfig": supported values: "KubeConfigFile"`},
		"a webhook nowhere": {
			mayDo, webhook + "connectionInfo: {type: KubeConfigFile, kubeConfigFile: /missing}}}]\n", "/missing: no such file or directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			err := test.read(t.Context(), file)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
