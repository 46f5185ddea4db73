package options

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/portolan-dev/portolan/pkg/etcd/quota"
)

const quotaFlag = "embedded-etcd-quota-bytes"

func (o *Options) addQuotaFlag(fs *pflag.FlagSet) {
	fs.Int64Var(&o.EmbeddedQuotaBytes, quotaFlag, o.EmbeddedQuotaBytes,
		fmt.Sprintf("How many bytes the embedded etcd may hold, from %d to %d. A tenth of it, at most 512 MiB, is kept for deletes and small updates: "+
			"what would make the store grow into that is rejected with a 507. An external etcd has --quota-backend-bytes of its own.",
			int64(quota.MinBytes), int64(quota.MaxBytes)))
}

func (o *Options) quotaErrors() []error {
	switch bytes := o.EmbeddedQuotaBytes; {
	case bytes < quota.MinBytes || bytes > quota.MaxBytes:
		return []error{fmt.Errorf("--%s: %d is not a number of bytes from %d (%s) to %d (%s)", quotaFlag, bytes,
			int64(quota.MinBytes), quota.Text(quota.MinBytes), int64(quota.MaxBytes), quota.Text(quota.MaxBytes))}
	case bytes != quota.DefaultBytes && !o.Embedded():
		return []error{
			fmt.Errorf("--%s limits the embedded etcd, and --etcd-servers names an external one: set --quota-backend-bytes of that", quotaFlag),
		}
	}
	return nil
}
