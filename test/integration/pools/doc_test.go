// Package pools tests LoadBalancerPools through the API: which addresses Services
// get, how they share them, and what happens when a pool is full.
package pools
