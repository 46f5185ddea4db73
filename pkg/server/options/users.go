package options

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/portolan-dev/portolan/pkg/serviceaccount"
)

const (
	serviceAccountIssuerFlag = "service-account-issuer"
	serviceAccountKeyFlag    = "service-account-key-file"

	// defaultIssuer is the name of kube-apiserver in a cluster, as most clusters have it.
	defaultIssuer = "https://kubernetes.default.svc"
)

// UserOptions name the files with which a standalone server authenticates and
// authorizes users.
type UserOptions struct {
	// TokenAuthFile has static tokens.
	TokenAuthFile string
	// AuthenticationConfig has an AuthenticationConfiguration, and AuthorizationConfig an
	// AuthorizationConfiguration.
	AuthenticationConfig, AuthorizationConfig string
	// ServiceAccountIssuer is the URL that the tokens of ServiceAccounts name as their
	// issuer and default audience.
	ServiceAccountIssuer string
	// ServiceAccountKeys are files with further keys of valid tokens.
	ServiceAccountKeys []string
}

func (o *UserOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.TokenAuthFile, "token-auth-file", o.TokenAuthFile,
		"CSV file with static bearer tokens. Each line has a token, the user, the user's UID and optionally the groups, as one field in "+
			"double quotes. It is read at startup. Only on a standalone server.")
	fs.StringVar(&o.AuthenticationConfig, "authentication-config", o.AuthenticationConfig,
		"File with an AuthenticationConfiguration of apiserver.config.k8s.io: which JSON Web Tokens are accepted, with CEL rules, and on "+
			"which paths callers may be anonymous. It is reloaded when it changes. Only on a standalone server.")
	fs.StringVar(&o.AuthorizationConfig, "authorization-config", o.AuthorizationConfig,
		"File with an AuthorizationConfiguration of apiserver.config.k8s.io: authorizers of type Webhook, with CEL match conditions, and "+
			"of type Groups. "+
			"Without this flag there is one of type Groups: portolan:readers and portolan:writers. Members of system:masters may always do "+
			"everything. It is reloaded when it changes. Only on a standalone server.")
	fs.StringVar(&o.ServiceAccountIssuer, serviceAccountIssuerFlag, o.ServiceAccountIssuer,
		"URL that the tokens of ServiceAccounts name as their issuer and, by default, as their audience. Tokens that name another one are not "+
			"valid. Only on a standalone server.")
	fs.StringArrayVar(&o.ServiceAccountKeys, serviceAccountKeyFlag, o.ServiceAccountKeys,
		"File with PEM keys that verify tokens of ServiceAccounts, besides the key in --data-dir that signs them: those of other servers on the "+
			"same etcd, or an earlier one. It can be given more than once. Only on a standalone server.")
}

// userErrors rejects the user options with a cluster, which has its own users.
func (o *Options) userErrors() []error {
	if !o.InCluster() {
		if err := serviceaccount.CheckURL(o.Users.ServiceAccountIssuer); err != nil {
			return []error{fmt.Errorf("--%s: %w", serviceAccountIssuerFlag, err)}
		}
		return nil
	}
	var errs []error
	for _, flag := range []struct{ name, value string }{
		{"token-auth-file", o.Users.TokenAuthFile},
		{"authentication-config", o.Users.AuthenticationConfig},
		{"authorization-config", o.Users.AuthorizationConfig},
		{serviceAccountKeyFlag, strings.Join(o.Users.ServiceAccountKeys, "")},
	} {
		if flag.value != "" {
			errs = append(errs, fmt.Errorf("--%s: with --kubeconfig or --in-cluster the cluster determines users and their rights", flag.name))
		}
	}
	return errs
}
