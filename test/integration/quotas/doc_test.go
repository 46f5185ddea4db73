// Package quotas tests ClaimQuotas through the API: what they count, that they are
// enforced exactly, and that they cost no further writes.
package quotas
