package options

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/portolan-dev/portolan/pkg/etcd/quota"
)

const quotaFlag = "embedded-etcd-quota-bytes"

func (o *Options) addQuotaFlag(fs *pflag.FlagSet) {
	fs.Int64Var(&o.EmbeddedQuotaBytes, quotaFlag, o.EmbeddedQuotaBytes,
		fmt.Sprintf("Maximum size of the embedded etcd in bytes, from %d to %d. A tenth of it, at most 512 MiB, is reserved for deletes "+
			"and small updates: "+
			"a write that would make the store grow into that is rejected with a 507. An external etcd has its own --quota-backend-bytes.",
			int64(quota.MinBytes), int64(quota.MaxBytes)))
}

func (o *Options) quotaErrors() []error {
	switch bytes := o.EmbeddedQuotaBytes; {
	case bytes < quota.MinBytes || bytes > quota.MaxBytes:
		return []error{fmt.Errorf("--%s: %d is not a number of bytes from %d (%s) to %d (%s)", quotaFlag, bytes,
			int64(quota.MinBytes), quota.Text(quota.MinBytes), int64(quota.MaxBytes), quota.Text(quota.MaxBytes))}
	case bytes != quota.DefaultBytes && !o.Embedded():
		return []error{
			fmt.Errorf("--%s limits the embedded etcd, but --etcd-servers names an external one: set its --quota-backend-bytes instead", quotaFlag),
		}
	}
	return nil
}
