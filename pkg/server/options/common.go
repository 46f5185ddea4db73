package options

// CommonFlags are some of the flags that people set most often, for a short help.
type CommonFlags struct {
	Title string
	Flags []CommonFlag
}

// CommonFlag is one flag, and what is said of it in a line or two.
type CommonFlag struct{ Name, Summary string }

// Common are the flags of the server that people set most often.
func Common() []CommonFlags {
	return []CommonFlags{
		{"Where it serves", []CommonFlag{
			{"bind-address", "Address to listen on (127.0.0.1); 0.0.0.0 is all"},
			{"secure-port", "Port to listen on (6443)"},
			{"advertise-address", "Address that others reach it at"},
			{"tls-cert-file", "Certificate for HTTPS; it makes one of its own"},
			{"tls-private-key-file", "Key of that certificate"},
		}},
		{"Where it stores", []CommonFlag{
			{"data-dir", "Its etcd and certificates (./portolan-data)"},
			{"etcd-servers", "An etcd of yours in place of its own"},
			{"etcd-cafile", "Authority that signed the certificate of etcd"},
			{"etcd-certfile", "Client certificate for etcd"},
			{"etcd-keyfile", "Key of that certificate"},
			{"encryption-provider-config", "Encrypts what is stored"},
		}},
		{"What it hands out, from an empty store on", []CommonFlag{
			{ClusterIPRangeFlag, "Cluster IPs (10.96.0.0/12); one range of each family"},
			{NodePortRangeFlag, "Node ports (30000-32767)"},
		}},
		{"Who may use it", []CommonFlag{
			{"client-ca-file", "Another authority of client certificates"},
			{"token-auth-file", "Static bearer tokens"},
			{"authentication-config", "Whose JSON Web Tokens are accepted"},
			{"authorization-config", "Webhooks that say who may do what"},
		}},
		{"What it works with", []CommonFlag{
			{"kubeconfig", "A cluster whose users and namespaces hold here"},
			{"in-cluster", "The same, of the cluster that it runs in"},
			{"controllers", "Makes EndpointSlices of Pods (true)"},
			{"serve-core", "Serves v1 Services as well (true without a cluster)"},
			{serviceProxyFlag, "What services/NAME/proxy may reach"},
		}},
		{"What it logs", []CommonFlag{
			{"v", "Level of the log (0)"},
			{"logging-format", "text or json"},
			{"audit-policy-file", "Which requests the audit log has"},
			{"audit-log-path", "Where the audit log is written; - is stdout"},
		}},
	}
}
