package options

// CommonFlags is a group of flags in the short help.
type CommonFlags struct {
	Title string
	Flags []CommonFlag
}

// CommonFlag is a flag in the short help, with a summary of one or two lines.
type CommonFlag struct{ Name, Summary string }

// Common returns the server's most common flags.
func Common() []CommonFlags {
	return []CommonFlags{
		{"Serving", []CommonFlag{
			{"bind-address", "Address to listen on (127.0.0.1); 0.0.0.0 means all"},
			{"secure-port", "Port to listen on (6443)"},
			{"advertise-address", "Address at which others reach the server"},
			{"tls-cert-file", "Certificate for HTTPS (default: self-made)"},
			{"tls-private-key-file", "Key of that certificate"},
		}},
		{"Storage", []CommonFlag{
			{"data-dir", "Embedded etcd and certificates (./portolan-data)"},
			{"etcd-servers", "External etcd, instead of the embedded one"},
			{"etcd-cafile", "Authority that signed etcd's certificate"},
			{"etcd-certfile", "Client certificate for etcd"},
			{"etcd-keyfile", "Key of that certificate"},
			{"encryption-provider-config", "Encrypts stored objects"},
		}},
		{"First ranges of an empty store", []CommonFlag{
			{ClusterIPRangeFlag, "Cluster IPs (10.96.0.0/12); one range of each family"},
			{NodePortRangeFlag, "Node ports (30000-32767)"},
		}},
		{"Users", []CommonFlag{
			{"client-ca-file", "Additional authority of client certificates"},
			{"token-auth-file", "Static bearer tokens"},
			{"authentication-config", "Which JSON Web Tokens are accepted"},
			{"authorization-config", "Webhooks that authorize requests"},
		}},
		{"Cluster and APIs", []CommonFlag{
			{"kubeconfig", "Cluster whose users and namespaces are used"},
			{"in-cluster", "Use the cluster that the server runs in instead"},
			{"controllers", "Creates EndpointSlices from Pods (true)"},
			{"serve-core", "Serves v1 Services; forwards to a cluster"},
			{serviceProxyFlag, "Networks that services/NAME/proxy may reach"},
		}},
		{"Logs", []CommonFlag{
			{"v", "Log level (0)"},
			{"logging-format", "text or json"},
			{"audit-policy-file", "Which requests are in the audit log"},
			{"audit-log-path", "File of the audit log; - means stdout"},
		}},
	}
}
