package options

import (
	"fmt"

	"github.com/spf13/pflag"
)

// UserOptions are the files that say who is known where there is no cluster, and
// what users may do.
type UserOptions struct {
	// TokenAuthFile has static tokens.
	TokenAuthFile string
	// AuthenticationConfig is an AuthenticationConfiguration, AuthorizationConfig
	// an AuthorizationConfiguration.
	AuthenticationConfig, AuthorizationConfig string
}

func (o *UserOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.TokenAuthFile, "token-auth-file", o.TokenAuthFile,
		"CSV file of static bearer tokens: in each line a token, the user, the user's UID and, if there are any, the groups as one field in double quotes. "+
			"It is read at the start. Only without a cluster.")
	fs.StringVar(&o.AuthenticationConfig, "authentication-config", o.AuthenticationConfig,
		"File with an AuthenticationConfiguration of apiserver.config.k8s.io: whose JSON Web Tokens are accepted, with CEL rules, and where callers may be anonymous. "+
			"It is read again when it changes. Only without a cluster.")
	fs.StringVar(&o.AuthorizationConfig, "authorization-config", o.AuthorizationConfig,
		"File with an AuthorizationConfiguration of apiserver.config.k8s.io: authorizers of type Webhook, with CEL match conditions, and of type Groups, "+
			"which is what counts without this flag: portolan:readers and portolan:writers. Members of system:masters may do everything in either case. "+
			"It is read again when it changes. Only without a cluster.")
}

// userErrors refuses with a cluster what is the cluster's to say there.
func (o *Options) userErrors() []error {
	if !o.InCluster() {
		return nil
	}
	var errs []error
	for _, flag := range []struct{ name, value string }{
		{"token-auth-file", o.Users.TokenAuthFile},
		{"authentication-config", o.Users.AuthenticationConfig},
		{"authorization-config", o.Users.AuthorizationConfig},
	} {
		if flag.value != "" {
			errs = append(errs, fmt.Errorf("--%s: with --kubeconfig or --in-cluster users and their rights are the cluster's to say", flag.name))
		}
	}
	return errs
}
