//go:build e2e

package cluster

import "path/filepath"

// auditPolicy has kube-apiserver write down what Portolan asks it.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["` + portolanUser + `"]
- level: None
`

func (g *ground) auditLog() string { return filepath.Join(g.dir, "audit.log") }
