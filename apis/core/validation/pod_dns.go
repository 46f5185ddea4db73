package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

// validateHostname validates the names that a Pod has in DNS and in its own network.
func validateHostname(spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	if spec.Hostname != "" {
		errs = append(errs, portolanvalidation.Invalid(specPath.Child("hostname"), spec.Hostname,
			utilvalidation.IsDNS1123Label(spec.Hostname))...)
	}
	if spec.Subdomain != "" {
		errs = append(errs, portolanvalidation.Invalid(specPath.Child("subdomain"), spec.Subdomain,
			utilvalidation.IsDNS1123Label(spec.Subdomain))...)
	}
	return errs
}

// validateHostnameOverride validates the name of KEP-4762, which replaces hostname.
func validateHostnameOverride(spec *corev1.PodSpec) field.ErrorList {
	if spec.HostnameOverride == nil {
		return nil
	}
	var errs field.ErrorList
	path, name := specPath.Child("hostnameOverride"), *spec.HostnameOverride
	if ptr.Deref(spec.SetHostnameAsFQDN, false) {
		errs = append(errs, field.Forbidden(path, "may not be specified when setHostnameAsFQDN is true"))
	}
	if spec.HostNetwork {
		errs = append(errs, field.Forbidden(path, "may not be specified when hostNetwork is true"))
	}
	const most = 64
	if len(name) > most {
		errs = append(errs, field.TooLong(path, "", most))
	}
	return append(errs, portolanvalidation.Invalid(path, name, utilvalidation.IsDNS1123Subdomain(name))...)
}

// The limits of a resolver's configuration (upstream's pkg/apis/core/validation).
const (
	maxNameservers, maxSearches, maxSearchLength = 3, 32, 2048
)

func validateDNSConfig(spec *corev1.PodSpec) field.ErrorList {
	path, config := specPath.Child("dnsConfig"), spec.DNSConfig
	servers, searches := path.Child("nameservers"), path.Child("searches")
	if spec.DNSPolicy == corev1.DNSNone {
		if config == nil {
			return field.ErrorList{field.Required(path, "must provide `dnsConfig` when `dnsPolicy` is None")}
		}
		if len(config.Nameservers) == 0 {
			return field.ErrorList{field.Required(servers, "must provide at least one DNS nameserver when `dnsPolicy` is None")}
		}
	}
	if config == nil {
		return nil
	}
	var errs field.ErrorList
	if len(config.Nameservers) > maxNameservers {
		errs = append(errs, field.Invalid(servers, config.Nameservers, fmt.Sprintf("must not have more than %d nameservers", maxNameservers)))
	}
	for i, server := range config.Nameservers {
		errs = append(errs, utilvalidation.IsValidIPForLegacyField(servers.Index(i), server, true, nil)...)
	}
	if len(config.Searches) > maxSearches {
		errs = append(errs, field.Invalid(searches, config.Searches, fmt.Sprintf("must not have more than %d search paths", maxSearches)))
	}
	if len(strings.Join(config.Searches, " ")) > maxSearchLength {
		errs = append(errs, field.Invalid(searches, config.Searches,
			fmt.Sprintf("must not have more than %d characters (including spaces) in the search list", maxSearchLength)))
	}
	for i, search := range config.Searches {
		if search != "." {
			search = strings.TrimSuffix(search, ".")
			errs = append(errs, portolanvalidation.Invalid(searches.Index(i), search, utilvalidation.IsDNS1123SubdomainWithUnderscore(search))...)
		}
	}
	for i, option := range config.Options {
		if option.Name == "" {
			errs = append(errs, field.Required(path.Child("options").Index(i), "must not be empty"))
		}
	}
	return errs
}

func validateHostAliases(aliases []corev1.HostAlias) field.ErrorList {
	var errs field.ErrorList
	for i, alias := range aliases {
		path := specPath.Child("hostAliases").Index(i)
		errs = append(errs, utilvalidation.IsValidIPForLegacyField(path.Child("ip"), alias.IP, true, nil)...)
		for j, name := range alias.Hostnames {
			errs = append(errs, portolanvalidation.Invalid(path.Child("hostnames").Index(j), name, utilvalidation.IsDNS1123Subdomain(name))...)
		}
	}
	return errs
}
