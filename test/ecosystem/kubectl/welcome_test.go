package kubectl

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestWelcome types what a server that turns ready says to type next, with the
// oldest kubectl that is supported and with the newest, at the first start and
// after a restart.
func TestWelcome(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"kubectl-oldest", "kubectl"} {
		for name, serveCore := range map[string]bool{"service/hello": true, "service.portolan.dev/hello": false} {
			t.Run(program+" "+name, func(t *testing.T) {
				t.Parallel()
				server := framework.StartAll(t, func(o *options.Options) { o.ServeCore = &serveCore })
				shown := []string{"hello ", "NodePort", "/hello", "nodeportrange.portolan.dev/kubernetes", "all done"}
				k := with(t, server)
				k.Program = framework.Program(t, program)
				k.Expect(k.followWelcome(server), append(shown, name+" created")...)

				if err := server.Stop(); err != nil {
					t.Fatal(err)
				}
				again := framework.StartAll(t, func(o *options.Options) {
					server.Again(t)(o)
					o.ServeCore = &serveCore
				})
				out := k.followWelcome(again)
				k.Expect(out, shown...)
				if strings.Contains(out, "created") || strings.Contains(again.Output(), "create") {
					t.Errorf("after a restart it is still to be created:\n%s\n%s", again.Output(), out)
				}
			})
		}
	}
}

// followWelcome returns what the steps print that a server says to type next.
func (k *kubectl) followWelcome(server *framework.Server) string {
	k.t.Helper()
	var steps []string
	framework.Eventually(k.t, "the steps", func(context.Context) (bool, error) {
		said := server.Output()
		steps = nil
		for line := range strings.Lines(said) {
			if step, ok := strings.CutPrefix(line, "  "); ok {
				steps = append(steps, strings.TrimSpace(step))
			}
		}
		return strings.HasSuffix(said, "\n\n") && len(steps) > 0, fmt.Errorf("the server says\n%s", said)
	})
	k.Expect(server.Output(), "Portolan is ready on "+server.Config.Host+"\n", "kubeconfig is "+server.Kubeconfig+"\n")
	return k.shell("set -e -o pipefail\n" + strings.Join(steps, "\n") + "\necho all done")
}
